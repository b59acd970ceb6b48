"""Where a build context comes from: a directory, an archive, a URL or a git repository.

Whatever it is, it becomes a directory; what is fetched or unpacked is removed with the build. What
is no archive where one may be, is a Dockerfile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from fastlayer.builder.context import DockerfileText, check_directory, read_dockerfile
from fastlayer.builder.remote_files import RemoteFiles
from fastlayer.errors import ContextError
from fastlayer.value import Value

LONGEST_DOCKERFILE = 16 * 1024 * 1024
"""Bytes of a Dockerfile on standard input or at a URL."""

_HEADS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_HEAD_SIZE = 512
_CHUNK = 1 << 20

Given = str | os.PathLike[str] | BinaryIO | None
"""A directory, a URL, an open archive or Dockerfile, or nothing."""


class ContextPlace(Value, kw_only=False):
    """A context that is there."""

    root: str | None
    """Its directory; ``None`` where it has no files."""
    identity: str
    """What it is called: the same for the next build of it."""
    dockerfile: DockerfileText | None = None
    """The Dockerfile that was given in its place."""
    is_foreign: bool = False
    """Whether it is no directory of the user's: then a Dockerfile's path is one inside of it."""
    modified: int = 0
    """The time that its server gives it, in seconds since 1970; 0 where there is none."""

    def time(self) -> int | None:
        """Its time in seconds since 1970: a repository's commit's, a server's, else that of the
        newest file of an archive. ``None`` for a directory of the user's, which has none.
        """
        if self.modified or not self.is_foreign:
            return self.modified or None
        # The files of a repository all have the commit's time.
        return _newest(self.root) if self.root is not None else None


def find_context(
    given: Given,
    remote: RemoteFiles,
    *,
    tell: Callable[[str], None],
    keep_git: bool = False,
) -> ContextPlace:
    """Make a context's directory.

    Parameters
    ----------
    given:
        What the user names.
    remote:
        The build's files of the network.
    tell:
        Called with what is done, before something that takes long.
    keep_git:
        Whether a repository keeps its ``.git``.

    Raises
    ------
    ContextError
        There is no such directory, or a Dockerfile is too large.
    DownloadError
        It cannot be fetched.
    CorruptError
        An archive is damaged.
    """
    if given is None:
        return ContextPlace(None, "")
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        return _named(text, remote, tell, keep_git)
    return _stream(given, remote)


def find_dockerfile(
    place: ContextPlace, given: str | os.PathLike[str] | bytes | None
) -> DockerfileText:
    """The Dockerfile of a build.

    Parameters
    ----------
    place:
        The context.
    given:
        Its bytes or its path; ``None`` looks for it in the context.

    Raises
    ------
    ContextError
        There is none, or it cannot be read.
    """
    if isinstance(given, bytes):
        return DockerfileText("Dockerfile", given, None)
    if place.dockerfile is not None:
        if given is not None:
            raise ContextError(
                f"there is no {os.fspath(given)}: the context is a Dockerfile and has no files"
            )
        return place.dockerfile
    path = None if given is None else os.fspath(given)
    if path is not None and place.is_foreign and place.root is not None:
        return _inside(place.root, path)
    found = read_dockerfile(place.root, path)
    if place.is_foreign and found.path is not None and place.root is not None:
        return _inside(place.root, os.path.relpath(found.path, place.root))
    return found


def _inside(root: str, path: str) -> DockerfileText:
    """A Dockerfile of somebody else's files: no link leads out of them."""
    real = os.path.realpath(os.path.join(root, path.lstrip("/")))
    if not real.startswith(os.path.realpath(root) + os.sep) or not os.path.exists(real):
        raise ContextError(
            f"the Dockerfile {path} is not in the context",
            hint="-f names a file inside of a context that is fetched or unpacked",
        )
    return read_dockerfile(root, real).replace(name=path)


def _named(
    text: str, remote: RemoteFiles, tell: Callable[[str], None], keep_git: bool
) -> ContextPlace:
    if not is_remote(text):
        root = check_directory(text)
        return ContextPlace(root, root)
    from fastlayer.transport.git import parse_git

    git = parse_git(text)
    if git is not None:
        tell(f"[internal] load git source {text}")
        return ContextPlace(str(remote.tree(git, keep_git=keep_git)), text, is_foreign=True)
    tell(f"[internal] load remote build context {text}")
    file = remote.web_file(text)
    path = remote.content(text, file)
    return _archive_or_dockerfile(path, text, remote).replace(modified=file.mtime)


def is_remote(text: str) -> bool:
    """Whether a text names something of the network, and no directory."""
    if os.path.isdir(text):
        return False
    from fastlayer.transport.git import parse_git

    return text.startswith(("http://", "https://")) or parse_git(text) is not None


def _stream(stream: BinaryIO, remote: RemoteFiles) -> ContextPlace:
    path = remote.new_file()
    with path.open("xb") as copy:
        while chunk := stream.read(_CHUNK):
            copy.write(chunk)
    return _archive_or_dockerfile(path, "standard input", remote)


def _archive_or_dockerfile(path: Path, name: str, remote: RemoteFiles) -> ContextPlace:
    with path.open("rb") as stream:
        head = stream.read(_HEAD_SIZE)
    if _is_archive(head):
        return ContextPlace(str(remote.unpacked(path, name)), name, is_foreign=True)
    if path.stat().st_size > LONGEST_DOCKERFILE:
        raise ContextError(f"{name}: neither an archive nor a Dockerfile")
    data = path.read_bytes()
    if not data.strip():
        raise ContextError(f"{name}: there is neither an archive nor a Dockerfile: it is empty")
    return ContextPlace(None, name, DockerfileText("Dockerfile", data, None), is_foreign=True)


def _newest(root: str) -> int | None:
    """The newest time below a directory; ``None`` where it is empty."""
    times = [
        os.lstat(os.path.join(folder, name)).st_mtime_ns
        for folder, directories, files in os.walk(root)
        for name in (*directories, *files)
    ]
    return max(times) // 10**9 if times else None


def _is_archive(head: bytes) -> bool:
    return head.startswith(_HEADS) or head[257:262] == b"ustar"
