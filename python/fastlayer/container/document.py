"""Small JSON documents on disk, written so that a crash leaves the old one or the new one."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from fastlayer.errors import CorruptError, StoreIOError


def write(path: Path, value: Mapping[str, object]) -> None:
    """Replace a document: write beside it, fsync, rename, fsync the directory.

    Raises
    ------
    StoreIOError
        A system call failed; the old document is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreIOError(f"cannot write {path}: {error.strerror}", errno=error.errno) from error


def read(path: Path) -> dict[str, object]:
    """Read a document.

    Raises
    ------
    FileNotFoundError
        There is none.
    CorruptError
        It is no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise CorruptError(f"{path} is damaged: {error}") from error
    if not isinstance(value, dict):
        raise CorruptError(f"{path} is damaged: it holds no object")
    return value


def sync_directory(path: Path) -> None:
    """Make a directory's names durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def timestamp(nanoseconds: int | None = None) -> str:
    """A time (nanoseconds since the epoch; now where it is ``None``) as Go's RFC3339Nano in UTC."""
    moment = time.time_ns() if nanoseconds is None else nanoseconds
    seconds, fraction = divmod(moment, 1_000_000_000)
    base = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{base}.{digits}Z" if digits else f"{base}Z"


def parse_timestamp(text: str) -> int:
    """Nanoseconds since the epoch of a time that :func:`timestamp` wrote; 0 where it is empty."""
    if not text:
        return 0
    base, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.strptime(base, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    return int(moment.timestamp()) * 1_000_000_000 + int(f"{fraction:0<9}"[:9] or 0)
