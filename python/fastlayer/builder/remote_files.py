"""What one build takes from the network: each file and repository once, and gone afterwards.

What a server said of a file is kept in the store, so that an unchanged file is asked for
and not sent. Its content is fetched only when a step needs it. Used from several threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from fastlayer.builder.transfer import Begin
from fastlayer.cache.kept_files import ANSWERS, note_use
from fastlayer.errors import CorruptError, DownloadError
from fastlayer.store import Store

if TYPE_CHECKING:
    from fastlayer.transport.git import Git, GitSource
    from fastlayer.transport.http import WebFile

DEFAULT_AGENT = "default"
"""The id of the SSH agent that git uses."""


class RemoteFiles:
    """The files of one build; a context manager that removes them.

    Parameters
    ----------
    store:
        Where archives are unpacked, and below which files lie while the build lasts.
    agents:
        Sockets of SSH agents, by id.
    """

    def __init__(self, store: Store, agents: Mapping[str, str]) -> None:
        self._store = store
        self._agents = agents
        self._home: Path | None = None
        self._files: dict[str, WebFile] = {}
        self._contents: dict[tuple[str, str], Path] = {}
        self._commits: dict[GitSource, str] = {}
        self._trees: dict[tuple[str, str, bool], Path] = {}
        self._git: Git | None = None
        # One thing at a time: the network is the limit, and the same file is often wanted twice.
        self._lock = threading.RLock()

    def __enter__(self) -> RemoteFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._home is not None:
            import shutil

            shutil.rmtree(self._home, ignore_errors=True)

    def web_file(self, url: str, checksum: str = "", begin: Begin | None = None) -> WebFile:
        """What a file of the web is now; ``begin`` tells of a download.

        Raises
        ------
        DownloadError
            The server cannot be reached, or refuses; or the file has another digest than
            ``checksum``.
        """
        with self._lock:
            if url not in self._files:
                known = self._read_known(url)
                if known is None or known.digest != checksum:
                    known = self._ask(url, known, begin)
                self._files[url] = known
            found = self._files[url]
        if checksum and found.digest != checksum:
            raise DownloadError(
                f"{url}: its digest is {found.digest}, and {checksum} was wanted",
                hint="the file changed, or the checksum is of another one",
            )
        return found

    def content(self, url: str, file: WebFile, begin: Begin | None = None) -> Path:
        """The content of a file, fetched where it was not; ``begin`` tells of that.

        Raises
        ------
        DownloadError
            It cannot be fetched, or is not what it was any more.
        """
        with self._lock:
            key = (url, file.digest)
            if key not in self._contents:
                target = self._new("file")
                found = self._download(url, target, None, begin)
                if found is None or found.digest != file.digest:
                    raise DownloadError(f"{url}: it changed while the build was running")
                self._contents[key] = target
            return self._contents[key]

    def commit(self, source: GitSource) -> str:
        """The commit that a source is now."""
        with self._lock:
            if source not in self._commits:
                self._commits[source] = self._program().commit(source)
            return self._commits[source]

    def tree(self, source: GitSource, *, keep_git: bool) -> Path:
        """The directory of a source, checked out."""
        from fastlayer.transport.git import directory_of

        with self._lock:
            commit = self.commit(source)
            key = (source.url, commit, keep_git)
            if key not in self._trees:
                target = self._new("git")
                target.mkdir(mode=0o700)
                self._program().checkout(source, commit, target, keep_git=keep_git)
                self._trees[key] = target
            return directory_of(source, self._trees[key])

    def unpacked(self, archive: Path, name: str) -> Path:
        """The directory that a tar, plain or compressed, makes; ``name`` is what an error calls it.

        Raises
        ------
        CorruptError
            It is damaged.
        """
        with self._lock:
            target = self._new("context")
            target.mkdir(mode=0o755)
        descriptor = os.open(archive, os.O_RDONLY | os.O_CLOEXEC)
        try:
            layer = self._store.import_layer(descriptor)
        except CorruptError as error:
            raise CorruptError(f"{name}: {error.message}", hint=error.hint) from error
        finally:
            os.close(descriptor)
        self._store.write_tree([layer.diff_id], str(target))
        return target

    def new_file(self) -> Path:
        """The place for a file that goes away with the build."""
        with self._lock:
            return self._new("file")

    def _ask(self, url: str, known: WebFile | None, begin: Begin | None) -> WebFile:
        target = self._new("file")
        found = self._download(url, target, known, begin)
        if found is None:
            assert known is not None
            return known
        self._contents[url, found.digest] = target
        self._write_known(url, found)
        return found

    def _download(
        self, url: str, target: Path, known: WebFile | None, begin: Begin | None
    ) -> WebFile | None:
        from fastlayer.transport.http import download

        if begin is None:
            return download(url, target, known=known)
        with begin(f"downloading {url}") as moved:
            return download(url, target, known=known, progress=moved)

    def _program(self) -> Git:
        from fastlayer.transport.git import Git

        if self._git is None:
            self._git = Git(self._agents.get(DEFAULT_AGENT, ""))
        return self._git

    def _new(self, kind: str) -> Path:
        if self._home is None:
            import tempfile

            staging = self._store.root / "staging"
            staging.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._home = Path(tempfile.mkdtemp(prefix="remote-", dir=staging))
        return self._home / f"{kind}-{len(list(self._home.iterdir()))}"

    def _known_path(self, url: str) -> Path:
        name = hashlib.blake2b(url.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        return self._store.root / ANSWERS / name

    def _read_known(self, url: str) -> WebFile | None:
        from fastlayer.transport.http import WebFile

        path = self._known_path(url)
        with contextlib.suppress(OSError, ValueError, TypeError):
            known = WebFile(**json.loads(path.read_text()))
            note_use(path)
            return known
        return None

    def _write_known(self, url: str, file: WebFile) -> None:
        import tempfile

        path = self._known_path(url)
        said = {"digest": file.digest, "entity": file.entity, "modified": file.modified}
        with contextlib.suppress(OSError):  # it costs a download, nothing else
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
                json.dump(said, stream)
            os.replace(stream.name, path)
