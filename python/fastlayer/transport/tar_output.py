"""A tar written member by member: blobs whose name is known only when they are written, too.

The bytes depend on the members alone: owner 0:0, fixed modes, all times the epoch. On a regular
file a blob is written in place and its header filled in afterwards; anything else gets it from a
nameless file on the store's disk.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

from fastlayer.errors import StoreIOError
from fastlayer.transport.spool import staging_file

_BLOCK = 512
_LARGEST_USTAR = 8 << 30
_PIECE = 1 << 20

BlobWriter = Callable[[int], tuple[str, int]]
"""Writes a blob to a file descriptor; gives its name in the tar and its size in bytes."""


class TarOutput:
    """A tar on a file descriptor.

    Parameters
    ----------
    descriptor:
        Open for writing, at the place where the tar begins; stays the caller's.
    root:
        The store's directory, for what cannot be written in place.
    """

    def __init__(self, descriptor: int, root: Path) -> None:
        self._descriptor = descriptor
        self._root = root
        self._in_place = _can_seek(descriptor)

    def directory(self, name: str) -> None:
        """Add a directory."""
        self._write(_header(name, 0, directory=True))

    def file(self, name: str, data: bytes) -> None:
        """Add a small file."""
        self._write(_header(name, len(data)) + data + _padding(len(data)))

    def blob(self, write: BlobWriter) -> None:
        """Add a file which ``write`` writes, and names when it is done."""
        if self._in_place:
            start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            self._write(bytes(_BLOCK))
            name, size = write(self._descriptor)
            os.pwrite(self._descriptor, _header(name, size), start)
            os.lseek(self._descriptor, start + _BLOCK + size, os.SEEK_SET)
        else:
            spooled = staging_file(self._root)
            try:
                name, size = write(spooled)
                self._write(_header(name, size))
                self._move(spooled, size)
            finally:
                os.close(spooled)
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

    def _move(self, source: int, size: int) -> None:
        position = 0
        while position < size:
            count = min(_PIECE, size - position)
            try:
                moved = os.sendfile(self._descriptor, source, position, count)
            except BrokenPipeError:
                raise
            except OSError:  # a target that sendfile does not know
                data = os.pread(source, count, position)
                self._write(data)
                moved = len(data)
            if moved == 0:
                raise StoreIOError("output: the spooled blob is shorter than it was")
            position += moved


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
