"""The build context: a directory, its ignore rules, and the Dockerfile in or beside it.

A Dockerfile is ``Dockerfile`` or ``dockerfile`` in the context, or any file, or bytes. The ignore
rules are ``<Dockerfile>.dockerignore`` beside it, else ``.dockerignore`` in the context. Files are
read by the core, through a stat cache that is kept in the store.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from fastlayer.cache.kept_files import CONTEXTS, note_use
from fastlayer.dockerfile import parse_ignore
from fastlayer.errors import ContextError
from fastlayer.store import Context
from fastlayer.value import Value

DEFAULT_NAMES = ("Dockerfile", "dockerfile")
"""Names under which a Dockerfile is looked for."""


class DockerfileText(Value, kw_only=False):
    """A Dockerfile: its bytes, and the name that messages give it."""

    name: str
    data: bytes
    path: str | None
    """Where it is on disk; ``None`` for standard input."""


class BuildContext:
    """A directory as a build sees it.

    Parameters
    ----------
    root:
        The directory; ``None`` is an empty context.
    patterns:
        The rules of its ignore file.
    cache:
        The file of the stat cache; ``None`` for files that no later build will see.
    scratch:
        A directory below which an empty context is made when it is asked for.
    """

    def __init__(
        self, root: str | None, patterns: tuple[str, ...], cache: Path | None, scratch: Path
    ) -> None:
        self.root = root
        self.patterns = patterns
        self._cache = cache
        self._scratch = scratch
        self._temporary: Path | None = None
        self._files: Context | None = None
        self._lock = threading.Lock()

    @property
    def files(self) -> Context:
        """The core's view of it; made when first asked for."""
        with self._lock:
            if self._files is None:
                if self.root is None:
                    self._temporary = self._scratch / f"context-{os.getpid()}"
                    self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
                root = self.root if self.root is not None else str(self._temporary)
                if self._cache is not None:
                    note_use(self._cache)
                    self._cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                cache = None if self._cache is None else str(self._cache)
                self._files = Context(root, self.patterns, cache)
            return self._files

    def save(self) -> None:
        """Write the stat cache, if the files were looked at."""
        with self._lock:
            if self._files is not None and self._cache is not None and self.root is not None:
                self._files.save()
            if self._temporary is not None:
                os.rmdir(self._temporary)
                self._temporary = None


def check_directory(text: str) -> str:
    """The absolute path of a context directory.

    Raises
    ------
    ContextError
        It does not exist, or is no directory.
    """
    if not os.path.exists(text):
        raise ContextError(
            f"build context {text} does not exist", hint="give a directory as the last argument"
        )
    if not os.path.isdir(text):
        raise ContextError(
            f"build context {text} is not a directory",
            hint=f"give the directory, and the Dockerfile with -f {text}",
        )
    if not os.access(text, os.R_OK | os.X_OK):
        raise ContextError(f"build context {text} cannot be read: permission denied")
    return os.path.abspath(text)


def read_dockerfile(root: str | None, path: str | None) -> DockerfileText:
    """Read the Dockerfile of a context, or the one at a path.

    Raises
    ------
    ContextError
        It does not exist or cannot be read.
    """
    if path is not None:
        return _read(_beside(root, path), path)
    if root is None:
        raise ContextError("there is no Dockerfile", hint="give it with -f, or on standard input")
    for name in DEFAULT_NAMES:
        place = os.path.join(root, name)
        if os.path.exists(place):
            return _read(place, name)
    raise ContextError(
        f"there is no Dockerfile in {root}", hint="give its path with -f, or make one"
    )


def read_patterns(root: str | None, dockerfile: DockerfileText | None) -> tuple[str, ...]:
    """The ignore rules that belong to a Dockerfile and a context; a further one has none.

    Raises
    ------
    ContextError
        The ignore file cannot be read.
    """
    path = None if dockerfile is None else dockerfile.path
    candidates = [] if path is None else [f"{path}.dockerignore"]
    if root is not None:
        candidates.append(os.path.join(root, ".dockerignore"))
    for candidate in candidates:
        try:
            return parse_ignore(Path(candidate).read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ContextError(f"{candidate}: {error.strerror}") from error
    return ()


def open_context(
    root: str | None, dockerfile: DockerfileText | None, store_root: Path, *, keep: bool = True
) -> BuildContext:
    """A context with its ignore rules; its stat cache is below the store, if it is to be kept.

    Raises
    ------
    ContextError
        The ignore file cannot be read.
    """
    name = hashlib.blake2b(os.fsencode(root or ""), digest_size=16).hexdigest()
    return BuildContext(
        root,
        read_patterns(root, dockerfile),
        store_root / CONTEXTS / name if keep else None,
        store_root / "staging",
    )


def _beside(root: str | None, path: str) -> str:
    """Where ``-f PATH`` is: as seen from here, else from the context."""
    if os.path.isabs(path) or os.path.exists(path) or root is None:
        return path
    inside = os.path.join(root, path)
    return inside if os.path.exists(inside) else path


def _read(place: str, name: str) -> DockerfileText:
    try:
        data = Path(place).read_bytes()
    except FileNotFoundError:
        raise ContextError(
            f"the Dockerfile {place} does not exist", hint="give its path with -f"
        ) from None
    except OSError as error:
        raise ContextError(f"the Dockerfile {place} cannot be read: {error.strerror}") from error
    return DockerfileText(name, data, place)
