"""Layers from tars of a test's own, and their trees as values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastlayer.store import Entry, LayerInfo, Store

from tests.support.tar_blocks import END


@dataclass(frozen=True, slots=True)
class Layers:
    """A store, and short words for what tests of layers do with it."""

    store: Store

    def take(self, tar: bytes) -> LayerInfo:
        """Import a tar, plain or compressed, as it is."""
        with in_memory(tar) as descriptor:
            return self.store.import_layer(descriptor)

    def add(self, *pieces: bytes) -> str:
        """The DiffID of the layer of these members; it must be understood."""
        info = self.take(b"".join(pieces) + END)
        assert info.raw_reason is None, info.raw_reason
        return info.diff_id

    def raw(self, *pieces: bytes) -> str:
        """Why a tar of these members is kept raw; it must be."""
        info = self.take(b"".join(pieces) + END)
        assert info.raw_reason is not None, "it was understood"
        return info.raw_reason

    def tar(self, diff_id: str) -> bytes:
        """The layer's tar."""
        descriptor = os.memfd_create("tar")
        try:
            self.store.write_tar(diff_id, descriptor)
            return read_back(descriptor)
        finally:
            os.close(descriptor)

    def tree_tar(self, chain: Sequence[str]) -> bytes:
        """The merged tree as a tar."""
        descriptor = os.memfd_create("tree")
        try:
            self.store.write_tree_tar(chain, descriptor)
            return read_back(descriptor)
        finally:
            os.close(descriptor)

    def entry(self, chain: Sequence[str], path: bytes) -> Entry:
        """What is at a path, links not followed."""
        found = self.store.stat(chain, path, follow=False)
        assert found is not None, f"{path!r} is missing"
        return found

    def names(self, *chain: str) -> list[str]:
        """Every path of the tree but the root, directories with a slash behind."""
        return [shown(entry) for entry in self.store.walk(chain) if entry.path]

    def entries(self, diff_id: str) -> list[str]:
        """Every path of one layer but the root; ``-PATH`` is a whiteout."""
        return [shown(entry) for entry in self.store.layer_entries(diff_id) if entry.path]

    def written(self, chain: Sequence[str], folder: Path) -> Path:
        """The merged tree as plain files in a new folder."""
        folder.mkdir()
        self.store.write_tree(chain, str(folder))
        return folder


def shown(entry: Entry) -> str:
    """A path as a word: bytes that are no text stay visible."""
    name = entry.path.decode(errors="backslashreplace")
    if entry.kind == "whiteout":
        return f"-{name}"
    return f"{name}/" if entry.kind == "directory" else name


def digest_of(tar: bytes) -> str:
    """The DiffID of a plain tar."""
    return "sha256:" + hashlib.sha256(tar).hexdigest()


class in_memory:  # noqa: N801 - reads as a word at the place of use
    """Bytes as an open file that is read from its start."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._descriptor = -1

    def __enter__(self) -> int:
        self._descriptor = os.memfd_create("bytes")
        with os.fdopen(os.dup(self._descriptor), "wb") as file:
            file.write(self._data)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def read_back(descriptor: int) -> bytes:
    """All bytes of a file in memory."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
