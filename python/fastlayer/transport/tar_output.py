"""A tar written member by member, each straight to where it goes.

The bytes depend on the members alone: owner 0:0, fixed modes, all times the epoch. On a regular
file a blob may be written before its name and size are known: its header is filled in afterwards.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tarfile
from collections.abc import Callable

from fastlayer.errors import StoreIOError

_BLOCK = 512
_LARGEST_USTAR = 8 << 30

BlobWriter = Callable[[int], tuple[str, int]]
"""Writes a blob to a file descriptor; gives its name in the tar and its size in bytes."""


class TarOutput:
    """A tar on a file descriptor.

    Parameters
    ----------
    descriptor:
        Open for writing, at the place where the tar begins; stays the caller's.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.can_go_back = _can_seek(descriptor)
        """Whether :meth:`unnamed_blob` works."""

    def directory(self, name: str) -> None:
        """Add a directory."""
        self._write(_header(name, 0, directory=True))

    def file(self, name: str, data: bytes) -> None:
        """Add a small file."""
        self._write(_header(name, len(data)) + data + _padding(len(data)))

    def blob(self, name: str, size: int, write: Callable[[int], object]) -> None:
        """Add a file of that size which ``write`` writes to the file descriptor it gets."""
        self._write(_header(name, size))
        write(self._descriptor)
        self._write(_padding(size))

    def unnamed_blob(self, write: BlobWriter) -> None:
        """Add a file which ``write`` writes, and names when it is done."""
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        self._write(bytes(_BLOCK))
        name, size = write(self._descriptor)
        os.pwrite(self._descriptor, _header(name, size), start)
        os.lseek(self._descriptor, start + _BLOCK + size, os.SEEK_SET)
        self._write(_padding(size))

    def finish(self) -> None:
        """Add the two blocks that end a tar."""
        self._write(bytes(2 * _BLOCK))

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StoreIOError(
                f"cannot write the output: {error.strerror}",
                hint="nothing is lost in the store: free space, or name another file",
                errno=error.errno,
            ) from error


def _can_seek(descriptor: int) -> bool:
    regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    return regular and not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND


def _header(name: str, size: int, *, directory: bool = False) -> bytes:
    entry = tarfile.TarInfo(name + "/" if directory else name)
    entry.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    entry.mode = 0o755 if directory else 0o644
    entry.size = size
    # Octal digits end at 8 GiB; GNU's binary numbers keep the header one block.
    if size < _LARGEST_USTAR:
        header = entry.tobuf(format=tarfile.USTAR_FORMAT)
    else:
        header = entry.tobuf(format=tarfile.GNU_FORMAT)
    assert len(header) == _BLOCK
    return header


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
