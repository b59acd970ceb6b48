"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fastlayer.errors import StoreIOError


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[int]:
    """A descriptor for writing what becomes the file when the block ends well.

    An existing regular file is replaced; a device or a pipe is written to as it is.

    Raises
    ------
    StoreIOError
        The file cannot be made.
    """
    try:
        special = not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        special = False
    if special and path.is_dir():
        raise StoreIOError(f"{path}: is a directory", hint="name a file")
    temporary = path if special else path.parent / f".{path.name}.{os.getpid()}"
    try:
        flags = os.O_CLOEXEC | (os.O_WRONLY if special else os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        descriptor = os.open(temporary, flags, 0o666)
    except OSError as error:
        raise StoreIOError(f"{path}: {error.strerror}", errno=error.errno) from error
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        if not special:
            os.rename(temporary, path)
    except OSError as error:
        raise StoreIOError(f"{path}: {error.strerror}", errno=error.errno) from error
    finally:
        if not special:
            temporary.unlink(missing_ok=True)
