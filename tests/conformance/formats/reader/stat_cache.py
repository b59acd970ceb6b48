"""The stat cache: docs/formats/stat-cache.md."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.hashes import keyed
from tests.conformance.formats.reader.refusal import OtherVersionError, check

MAGIC = b"FLSTATC"
VERSION = 1
CONTEXT = "fastlayer stat cache v1"
ROW_BYTES = 88


@dataclass(frozen=True, slots=True)
class StatRow:
    """What is known of a file; times are seconds and nanoseconds; ``content`` may be unknown."""

    device: int
    inode: int
    size: int
    changed: tuple[int, int]
    inode_changed: tuple[int, int]
    mode: int
    content: bytes | None
    has_attributes: bool
    unused: int


def read_stat_cache(data: bytes) -> dict[tuple[int, int], StatRow]:
    """The rows by device and inode number."""
    fields = Fields(data)
    check(fields.take(7) == MAGIC, "no stat cache")
    version = fields.number(1)
    if version != VERSION:
        raise OtherVersionError(f"a stat cache of version {version}")
    count = fields.number(8)
    said = fields.take(32)
    check(keyed(CONTEXT, data[:16] + data[48:]) == said, "a stat cache with another checksum")
    check(fields.left == count * ROW_BYTES, "rows of another size")
    rows = [_row(fields) for _ in range(count)]
    keys = [(row.device, row.inode) for row in rows]
    check(keys == sorted(set(keys)), "rows out of order")
    return dict(zip(keys, rows, strict=True))


def seal(data: bytes) -> bytes:
    """The file with the checksum that its other bytes ask for."""
    return data[:16] + keyed(CONTEXT, data[:16] + data[48:]) + data[48:]


def _row(fields: Fields) -> StatRow:
    device, inode, size = (fields.number(8) for _ in range(3))
    seconds, inode_seconds = (fields.number(8, signed=True) for _ in range(2))
    nanoseconds, inode_nanoseconds, mode = (fields.number(4) for _ in range(3))
    flags, unused = fields.number(3), fields.number(1)
    check(flags < 4, "unknown flags")
    content = fields.take(32)
    known = bool(flags & 1)
    check(known or not any(content), "a content that is not known")
    return StatRow(
        *(device, inode, size, (seconds, nanoseconds), (inode_seconds, inode_nanoseconds), mode),
        *(content if known else None, bool(flags & 2), unused),
    )
