"""A store of layers in memory, for tests of what lies above the store.

It has the calls of ``fastlayer.store.Store`` that images and transports use, with the same meaning;
only the root directory, where refs are files, is real.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fastlayer.errors import CorruptError, NotFoundError
from fastlayer.store import Store


@dataclass(frozen=True)
class MemoryBlob:
    digest: str
    size: int
    annotations: dict[str, str]


@dataclass(frozen=True)
class MemoryLayer:
    diff_id: str
    size: int
    content_size: int
    entries: int
    raw_reason: str | None = None
    added_bytes: int = 0


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class MemoryStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "staging").mkdir(parents=True, exist_ok=True)
        self.blobs: dict[str, bytes] = {}
        self.tars: dict[str, bytes] = {}
        self.syncs = 0

    def as_store(self) -> Store:
        return cast(Store, self)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        yield

    def trim_exports(self, budget: int) -> int:
        return 0

    def put_document(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def get_document(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise NotFoundError(f"no blob {digest}")
        return self.blobs[digest]

    def has_blob(self, digest: str) -> bool:
        return digest in self.blobs

    def write_blob(self, digest: str, fd: int, *, progress: object = None) -> None:
        write_all(fd, self.get_document(digest))

    def decompress(self, fd: int, output: int) -> None:
        write_all(output, plain(read_all(fd)))

    def import_layer(self, fd: int, *, progress: object = None) -> MemoryLayer:
        return self._add(plain(read_all(fd)))

    def import_blob(
        self,
        fd: int,
        *,
        stretch: tuple[int, int] | None = None,
        digest: str | None = None,
        diff_id: str | None = None,
        recheck: bool = False,
        progress: object = None,
    ) -> MemoryLayer:
        del recheck  # nothing is ever damaged here
        data = read_all(fd) if stretch is None else os.pread(fd, stretch[1], stretch[0])
        if digest and digest_of(data) != digest:
            raise CorruptError(f"blob is {digest_of(data)}, not {digest}")
        tar = plain(data)
        if diff_id and digest_of(tar) != diff_id:
            raise CorruptError(f"tar is {digest_of(tar)}, not {diff_id}")
        if data != tar:
            self.blobs[digest_of(data)] = data
        return self._add(tar)

    def layer(self, diff_id: str) -> MemoryLayer | None:
        if diff_id not in self.tars:
            return None
        tar = self.tars[diff_id]
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            sizes = [member.size for member in archive]
        return MemoryLayer(diff_id, len(tar), sum(sizes), len(sizes))

    def has_whole_layer(self, diff_id: str) -> bool:
        return diff_id in self.tars

    def write_tar(self, diff_id: str, fd: int, *, progress: object = None) -> None:
        write_all(fd, self.tars[diff_id])

    def export_blob(
        self,
        diff_id: str,
        *,
        codec: str,
        level: int | None = None,
        fd: int | None,
        progress: object = None,
    ) -> MemoryBlob:
        tar = self.tars[diff_id]
        blob = tar if codec == "none" else gzip.compress(tar, level or 6, mtime=0)
        if fd is not None:
            write_all(fd, blob)
        return MemoryBlob(digest_of(blob), len(blob), {})

    def exported_blob(
        self, diff_id: str, *, codec: str, level: int | None = None
    ) -> MemoryBlob | None:
        if codec != "none":
            return None
        return MemoryBlob(diff_id, len(self.tars[diff_id]), {})

    def sync(self) -> None:
        self.syncs += 1

    def _add(self, tar: bytes) -> MemoryLayer:
        with tarfile.open(fileobj=io.BytesIO(tar)):
            self.tars[digest_of(tar)] = tar
        layer = self.layer(digest_of(tar))
        assert layer is not None
        return layer


def plain(data: bytes) -> bytes:
    for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7z", lzma)):
        if data.startswith(magic):
            try:
                return cast(bytes, module.decompress(data))
            except (EOFError, OSError, lzma.LZMAError) as error:
                raise CorruptError(f"damaged: {error}") from error
    return data


def read_all(fd: int) -> bytes:
    data = b""
    while piece := os.read(fd, 1 << 20):
        data += piece
    return data


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def small_tar(**files: bytes) -> bytes:
    """A tar of regular files, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
