"""An archive given as any file descriptor, made readable anywhere and decompressed.

What is compressed or comes through a pipe is first written to a nameless file on the store's disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fastlayer.errors import StoreIOError
from fastlayer.store import Store
from fastlayer.transport.damage import reading

_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00")
_SKIPPABLE_ZSTD = bytes(range(0x50, 0x60)), b"\x2a\x4d\x18"


@contextlib.contextmanager
def plain_archive(store: Store, descriptor: int, label: str) -> Iterator[int]:
    """A seekable descriptor of the plain archive behind ``descriptor``.

    Parameters
    ----------
    store:
        Whose disk a copy goes to, if one is needed.
    descriptor:
        Open for reading, at its start; stays the caller's.
    label:
        What to call it in an error.

    Raises
    ------
    CorruptError
        The compressed stream is damaged or truncated.
    StoreIOError
        The store cannot hold the copy.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and not _is_compressed(
        os.pread(descriptor, 6, 0)
    ):
        yield descriptor
        return
    spooled = staging_file(store.root)
    try:
        with reading(label):
            store.decompress(descriptor, spooled)
        yield spooled
    finally:
        os.close(spooled)


def staging_file(root: Path) -> int:
    """A new nameless file on the store's disk, open for reading and writing."""
    staging = root / "staging"
    try:
        try:
            return os.open(staging, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except (NotADirectoryError, IsADirectoryError, OSError):
            descriptor, name = tempfile.mkstemp(dir=staging)
            os.unlink(name)
            return descriptor
    except OSError as error:
        raise StoreIOError(f"{staging}: {error.strerror}", errno=error.errno) from error


def _is_compressed(head: bytes) -> bool:
    if head.startswith(_MAGIC):
        return True
    first, rest = _SKIPPABLE_ZSTD
    return head[:1] in {bytes([byte]) for byte in first} and head[1:4] == rest
