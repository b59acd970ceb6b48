"""A folder of the machine that is filled with the paths of a tree.

Invariants: every step is taken from an open directory, one name at a time, and through no symbolic
link, so that neither what the tree holds nor what somebody puts into the folder meanwhile can lead
out of it; a path may be longer than the kernel takes. Knows nothing of trees and stores.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_OPEN = 64
"""Directories that stay open on the way down; a process may have no more than a thousand files."""


class Folder:
    """A folder that exists; paths in it are bytes, the folder itself is ``b""``.

    Parameters
    ----------
    path:
        Where it is; links on the way there, and in its place, are the caller's and followed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._open = [(b"", os.open(path, flags))]

    def close(self) -> None:
        """Close what is open of it."""
        for _, descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    def make_directory(self, path: bytes) -> None:
        """Make a directory; one that is there stays, anything else in its place is removed."""
        parent, name = self._parent(path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            return
        if not self.is_directory(path):
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o700, dir_fd=parent)

    def is_directory(self, path: bytes) -> bool:
        """Whether a directory, and no link to one, is there."""
        parent, name = self._parent(path)
        try:
            os.close(os.open(name, _DIRECTORY | os.O_PATH, dir_fd=parent))
        except OSError:
            return False
        return True

    def remove(self, path: bytes) -> None:
        """Remove what is no directory; nothing need be there."""
        parent, name = self._parent(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)

    def create(self, path: bytes) -> int:
        """Make an empty file; gives it open for writing."""
        parent, name = self._parent(path)
        return os.open(name, _NEW_FILE, 0o600, dir_fd=parent)

    def link(self, first: bytes, path: bytes) -> None:
        """Give a file that is in the folder another name."""
        parent, name = self._parent(first)
        source = os.dup(parent)
        try:
            parent, new = self._parent(path)
            os.link(name, new, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link."""
        parent, name = self._parent(path)
        os.symlink(target, name, dir_fd=parent)

    def make_node(self, path: bytes, mode: int, device: int) -> None:
        """Make a pipe or device; ``mode`` has its type."""
        parent, name = self._parent(path)
        os.mknod(name, mode, device, dir_fd=parent)

    def dress(
        self,
        path: bytes,
        *,
        owner: tuple[int, int] | None,
        mode: int | None,
        xattrs: Mapping[bytes, bytes],
        mtime: int,
    ) -> None:
        """Set what a path bears, in the order in which none undoes another.

        ``mode`` is ``None`` for a link; ``mtime`` is in nanoseconds. Attributes that the file
        system or the caller's rights do not allow are left out.
        """
        parent, name = self._parent(path)
        descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        # The open node itself: nobody can put something else in its place.
        place = f"/proc/self/fd/{descriptor}"
        try:
            if owner is not None:
                os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)
            if mode is not None:
                os.chmod(place, mode)
                for attribute, value in xattrs.items():
                    with contextlib.suppress(OSError):
                        os.setxattr(place, attribute, value)
            os.utime(name, ns=(mtime, mtime), dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(descriptor)

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """The open directory that a path is in, and its name there; ``.`` for the folder."""
        parent, _, name = path.rpartition(b"/")
        return self._directory(parent), name or b"."

    def _directory(self, path: bytes) -> int:
        while len(self._open) > 1 and not _is_at_or_below(path, self._open[-1][0]):
            os.close(self._open.pop()[1])
        base, descriptor = self._open[-1]
        for part in path[len(base) :].split(b"/"):
            if not part:
                continue
            descriptor = os.open(part, _DIRECTORY, dir_fd=descriptor)
            base = base + b"/" + part if base else part
            self._open.append((base, descriptor))
            if len(self._open) > _KEPT_OPEN:
                os.close(self._open.pop(1)[1])
        return descriptor


def _is_at_or_below(path: bytes, above: bytes) -> bool:
    return path == above or path.startswith(above + b"/")
