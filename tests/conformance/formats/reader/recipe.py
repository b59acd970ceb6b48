"""Recipes, and the tars that they give: docs/formats/recipe.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.conformance.formats.reader.compressed import one_frame
from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.hashes import checksum
from tests.conformance.formats.reader.refusal import OtherVersionError, check
from tests.conformance.formats.reader.segment import expand_checked
from tests.conformance.formats.reader.store import StoreFiles

MAGIC = b"FLRECIPE"
VERSION = 1
SEGMENT, SLICE, HEAP = range(3)
MAX_RUN = 4 << 20
MAX_HEAP = 16 << 20
MAX_REASON = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """A run of tar bytes."""

    kind: int
    index: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recipe says; ``reason`` is why a raw layer is raw."""

    diff_id: bytes
    raw: bool
    size: int
    content_size: int
    entries: int
    added: int
    reason: str
    objects: tuple[bytes, ...]
    segments: tuple[bytes, ...]
    rows: tuple[Row, ...]
    heap: bytes


def read_recipe(data: bytes, name: bytes) -> Recipe:
    """A recipe from the file of that name (a DiffID)."""
    fields = Fields(data)
    check(fields.take(8) == MAGIC, "no recipe")
    version = fields.number(4)
    if version != VERSION:
        raise OtherVersionError(f"a recipe of version {version}")
    check(len(data) >= 144 and checksum(data[:-32]) == data[-32:], "a recipe with another checksum")
    flags = fields.number(4)
    check(flags in (0, 1), "unknown flags")
    diff_id = fields.take(32)
    check(diff_id == name, "a recipe of another layer")
    size, content_size, entries, added = (fields.number(8) for _ in range(4))
    object_count, segment_count, row_count, reason_bytes = (fields.number(4) for _ in range(4))
    heap_stored, heap_bytes = fields.number(8), fields.number(8)
    check(heap_bytes <= MAX_HEAP and reason_bytes <= MAX_REASON, "beyond the limits")
    reason = fields.take(reason_bytes).decode()
    objects = fields.digests(object_count)
    segments = fields.digests(segment_count)
    check(len(set(objects)) == object_count, "an object is listed twice")
    check(len(set(segments)) == segment_count, "a segment is listed twice")
    rows = tuple(_row(fields) for _ in range(row_count))
    heap = one_frame(fields.take(heap_stored), heap_bytes)
    check(fields.left == 32, "bytes between heap and checksum")
    found = Recipe(
        *(diff_id, bool(flags), size, content_size, entries, added, reason),
        *(objects, segments, rows, heap),
    )
    _check_rows(found)
    return found


def _row(fields: Fields) -> Row:
    return Row(fields.number(4), fields.number(4), fields.number(8), fields.number(8))


def _check_rows(recipe: Recipe) -> None:
    check(sum(row.length for row in recipe.rows) == recipe.size, "rows of another size")
    for row in recipe.rows:
        if row.kind == SEGMENT:
            check(row.index < len(recipe.segments) and row.offset == 0, "a segment outside")
        elif row.kind == SLICE:
            check(row.index < len(recipe.objects), "an object that is not in the list")
        else:
            check(row.kind == HEAP and row.index == 0, "a row of another kind")
            check(row.offset + row.length <= len(recipe.heap), "a part outside of the heap")
        check(row.kind == HEAP or row.length <= MAX_RUN, "a run beyond 4 MiB")


def runs(recipe: Recipe, store: StoreFiles) -> Iterator[bytes]:
    """The tar, a row at a time; every object and segment is checked against its name."""
    big: tuple[bytes, bytes] = (b"", b"")
    for row in recipe.rows:
        if row.kind == HEAP:
            yield recipe.heap[row.offset : row.offset + row.length]
        elif row.kind == SEGMENT:
            name = recipe.segments[row.index]
            data = expand_checked(store.segment(name), name, store.object)
            check(len(data) == row.length, "a segment of another length")
            yield data
        else:
            name = recipe.objects[row.index]
            if big[0] != name:
                big = (name, store.object(name))
            data = big[1][row.offset : row.offset + row.length]
            check(len(data) == row.length, "a slice outside of its object")
            yield data
