"""Records of exports, and the frames that they left: docs/formats/export.md, "The cache"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.hashes import checksum, content_id, keyed, plain
from tests.conformance.formats.reader.recipe import SLICE, Recipe, runs
from tests.conformance.formats.reader.refusal import OtherVersionError, check
from tests.conformance.formats.reader.store import StoreFiles

MAGIC = b"FLEXPORT"
VERSION = 3
FRAME_CONTEXT = "fastlayer frame v2"
OWN_FRAME = 524_288
ENOUGH = 1_048_576
CHANCE = 262_144


@dataclass(frozen=True, slots=True)
class Table:
    """Where the table of contents and the tar-split data are: offset, length, decompressed."""

    digest: bytes
    contents: tuple[int, int, int]
    tar_split: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """One file in ``frames`` as an export's record names it."""

    key: bytes
    size: int
    checksum: bytes


@dataclass(frozen=True, slots=True)
class Export:
    """What an export gave."""

    digest: bytes
    size: int
    table: Table | None
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A file in ``frames``: what goes into the blob, and the table of a unit."""

    blob: bytes
    table: bytes


def read_export(data: bytes) -> Export:
    """A record of an export."""
    fields = Fields(data)
    check(fields.take(8) == MAGIC, "no record of an export")
    version = fields.number(4)
    if version != VERSION:
        raise OtherVersionError(f"a record of version {version}")
    check(checksum(data[:-32]) == data[-32:], "a record with another checksum")
    flags = fields.number(4)
    check(flags in (0, 1), "unknown flags")
    digest, size = fields.take(32), fields.number(8)
    table = None
    if flags:
        hashed = fields.take(32)
        numbers = [fields.number(8) for _ in range(6)]
        contents, tar_split = tuple(numbers[:3]), tuple(numbers[3:])
        table = Table(hashed, contents, tar_split)  # type: ignore[arg-type]
    check((fields.left - 32) % 72 == 0, "frames of another size")
    parts = []
    while fields.left > 32:
        parts.append(Part(fields.take(32), fields.number(8), fields.take(32)))
    return Export(digest, size, table, tuple(parts))


def read_frame(data: bytes, key: bytes) -> Frame:
    """A file of ``frames`` from its bytes and its name."""
    check(len(data) >= 72, "a frame is cut short")
    end = len(data) - 72
    table_bytes = int.from_bytes(data[end : end + 8], "little")
    check(table_bytes <= end, "a table beyond its file")
    blob, table = data[: end - table_bytes], data[end - table_bytes : end]
    said = data[end + 8 : end + 40]
    check(checksum(blob) == said, "a frame with another checksum")
    sealed = checksum(key + table + data[end : end + 8] + said)
    check(sealed == data[end + 40 :], "a frame of another key")
    return Frame(blob, table)


def frame_file(root: Path, key: bytes) -> Path:
    """Where a frame lies."""
    digits = key.hex()
    return root / "cache" / "frames" / digits[:2] / digits[2:]


def blob_of(root: Path, export: Export) -> bytes:
    """The blob that an export gave, put together from its frames."""
    found = []
    for part in export.parts:
        blob = read_frame(frame_file(root, part.key).read_bytes(), part.key).blob
        check(len(blob) == part.size and checksum(blob) == part.checksum, "another frame")
        found.append(blob)
    return b"".join(found)


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one frame: their identities and how many bytes they have."""

    identities: tuple[bytes, ...]
    size: int

    @property
    def identity(self) -> bytes:
        """What the frame's key is made of."""
        return plain(b"".join(self.identities))


def groups(recipe: Recipe, store: StoreFiles) -> list[Group]:
    """The rows of a layer as its frames hold them."""
    found: list[Group] = []
    gathered: list[tuple[bytes, int]] = []

    def end() -> None:
        if gathered:
            identities = tuple(identity for identity, _ in gathered)
            found.append(Group(identities, sum(size for _, size in gathered)))
            gathered.clear()

    for row, data in zip(recipe.rows, runs(recipe, store), strict=True):
        identity = content_id(data)
        if row.kind == SLICE:
            numbers = row.offset.to_bytes(8, "little") + row.length.to_bytes(8, "little")
            identity = plain(recipe.objects[row.index] + numbers)
        if row.kind == SLICE and row.length >= OWN_FRAME:
            end()
            found.append(Group((identity,), row.length))
            continue
        gathered.append((identity, row.length))
        total = sum(size for _, size in gathered)
        if total >= ENOUGH or (total >= CHANCE and identity[0] % 4 == 0):
            end()
    end()
    return found or [Group((), 0)]


def unit_keys(
    groups: Sequence[Group], parts: Sequence[Sequence[tuple[int, int]]], settings: str
) -> list[bytes]:
    """The keys of units; each has parts, as kind and length."""
    found = []
    for group, cut in zip(groups, parts, strict=True):
        text = b"".join(bytes([kind]) + length.to_bytes(8, "little") for kind, length in cut)
        found.append(_key(settings, plain(group.identity + text)))
    return found


def closing_key(diff_id: bytes, settings: str) -> bytes:
    """The key of the frames that close a blob of zstd:chunked."""
    return _key(settings, plain(b"contents" + diff_id))


def frame_keys(groups: Iterable[Group], settings: str) -> list[bytes]:
    """The keys of plain frames."""
    return [_key(settings, group.identity) for group in groups]


def _key(settings: str, identity: bytes) -> bytes:
    return keyed(FRAME_CONTEXT, settings.encode() + b"\0" + identity)
