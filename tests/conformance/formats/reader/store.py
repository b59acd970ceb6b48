"""The store's directory: docs/formats/store.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.formats.reader.hashes import content_id, sha256
from tests.conformance.formats.reader.refusal import OtherVersionError, RefusedError, check

VERSION = 1
_DIGITS = re.compile(r"[0-9a-f]{64}")


class StoreFiles:
    """A store, read past everything that may be at work in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        document = json.loads((root / "format.json").read_bytes())
        check(document.get("format") == "fastlayer store", "not a store")
        if document.get("version") != VERSION:
            raise OtherVersionError(f"a store of version {document.get('version')}")

    def object(self, name: bytes) -> bytes:
        """A content, checked against its name."""
        data = self._find("objects", name).read_bytes()
        check(content_id(data) == name, f"object {name.hex()} has another content")
        check(len(data) > 0, "an object without bytes")
        return data

    def segment(self, name: bytes) -> bytes:
        """A segment in its stored form."""
        return self._find("segments", name).read_bytes()

    def recipe(self, diff_id: bytes) -> bytes:
        """A recipe's bytes."""
        return self._find_whole("recipes", diff_id).read_bytes()

    def tree(self, diff_id: bytes) -> bytes | None:
        """A tree index, or nothing where there is none."""
        try:
            return self._find_whole("trees", diff_id).read_bytes()
        except RefusedError:
            return None

    def blob(self, digest: str) -> bytes:
        """A document or a kept layer blob, checked against its digest."""
        digits = digest.removeprefix("sha256:")
        data = (self.root / "blobs" / "sha256" / digits).read_bytes()
        check(sha256(data).hex() == digits, f"blob {digits} has other bytes")
        return data

    def layers(self) -> list[bytes]:
        """The DiffIDs of all layers."""
        return sorted({bytes.fromhex(path.name) for path in self._files("recipes")})

    def objects(self) -> list[bytes]:
        """The names of all objects."""
        return sorted({split_name(path) for path in self._files("objects")})

    def segments(self) -> list[bytes]:
        """The names of all segment files."""
        return sorted({split_name(path) for path in self._files("segments")})

    def object_file(self, name: bytes) -> Path:
        """Where an object lies."""
        return self._find("objects", name)

    def _areas(self) -> list[Path]:
        """The lasting places, then those below each token."""
        unsynced = self.root / "unsynced"
        return [self.root, *(sorted(unsynced.iterdir()) if unsynced.is_dir() else [])]

    def _files(self, kind: str) -> Iterator[Path]:
        for area in self._areas():
            yield from (path for path in (area / kind).rglob("*") if path.is_file())

    def _find(self, kind: str, name: bytes) -> Path:
        digits = name.hex()
        return self._first(f"{kind}/{digits[:2]}/{digits[2:]}")

    def _find_whole(self, kind: str, name: bytes) -> Path:
        return self._first(f"{kind}/{name.hex()}")

    def _first(self, name: str) -> Path:
        for area in self._areas():
            if (area / name).is_file():
                return area / name
        raise RefusedError(f"{name} is missing")


def split_name(path: Path) -> bytes:
    """The name of a file ``ab/cdef…``."""
    digits = path.parent.name + path.name
    check(_DIGITS.fullmatch(digits) is not None, f"{path} is no name of a store")
    return bytes.fromhex(digits)
