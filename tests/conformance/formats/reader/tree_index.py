"""Tree indexes: docs/formats/tree-index.md."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.refusal import OtherVersionError, check
from tests.conformance.formats.reader.tree import (
    BLOCK,
    CHAR,
    DIRECTORY,
    FAR_LINK,
    FILE,
    SYMLINK,
    Entry,
    Node,
)

MAGIC = b"fl-tree\0"
VERSION = 2
HEADER = 64
ROW = 90
NONE = (1 << 32) - 1
HAS_CONTENT = 8


@dataclass(frozen=True, slots=True)
class _Row:
    """A row whose numbers of rows are not followed yet."""

    name: bytes
    flags: int
    directory: int
    end_or_first: int
    node: Node


def read_tree_index(data: bytes) -> tuple[int, list[Entry]]:
    """The flags of a layer, and its entries."""
    fields = Fields(data)
    check(fields.take(8) == MAGIC, "no tree index")
    version = fields.number(4)
    if version != VERSION:
        raise OtherVersionError(f"a tree index of version {version}")
    check(fields.number(4) == ROW, "rows of another size")
    flags, count, heap_bytes = fields.number(4), fields.number(4), fields.number(8)
    check(flags < 4 and 1 <= count < NONE, "unknown flags, or no rows")
    check(not any(fields.take(32)), "bytes 32 to 63 are not 0")
    check(len(data) == HEADER + ROW * count + heap_bytes, "parts of another size")
    heap = data[HEADER + ROW * count :]
    rows = [_row(fields, heap) for _ in range(count)]
    check(rows[0].directory == 0 and not rows[0].name, "a root with a name")
    paths: list[tuple[bytes, ...]] = [()]
    ends = [_end(0, rows[0])]
    check(ends[0] == count and rows[0].node.kind == DIRECTORY, "a root that does not end")
    for number, row in enumerate(rows[1:], 1):
        check(row.directory < number, "a directory behind its row")
        check(rows[row.directory].node.kind == DIRECTORY, "a row in no directory")
        check(row.name not in (b"", b".", b"..") and not {0, 47} & set(row.name), "no name")
        paths.append((*paths[row.directory], row.name))
        ends.append(_end(number, row))
        check(number < ends[number] <= ends[row.directory], "rows below two directories")
    check(paths == sorted(set(paths)), "rows out of order")
    entries: list[Entry] = []
    for row, path in zip(rows, paths, strict=True):
        first = None
        if row.node.kind != DIRECTORY and row.end_or_first != NONE:
            check(row.end_or_first < len(entries), "a first row behind its group")
            first = b"/".join(paths[row.end_or_first])
        entries.append(Entry(b"/".join(path), row.node, row.flags, first))
    return flags, entries


def _end(number: int, row: _Row) -> int:
    return row.end_or_first if row.node.kind == DIRECTORY else number + 1


def _row(fields: Fields, heap: bytes) -> _Row:
    name_at, name_bytes = fields.number(4), fields.number(2)
    kind, flags, directory, end_or_first = (fields.number(size) for size in (1, 1, 4, 4))
    mode, uid, gid = (fields.number(size) for size in (2, 4, 4))
    seconds, nanoseconds = fields.number(8, signed=True), fields.number(4)
    size, offset, xattrs = (fields.number(size) for size in (8, 8, 4))
    value = Fields(fields.take(32))
    check(1 <= kind <= FAR_LINK and flags < 16 and mode <= 0o7777, "an unknown kind or flag")
    check(nanoseconds < 10**9, "a fraction of a second and more")
    check((kind == FILE) == bool(flags & HAS_CONTENT), "a file without its content id")
    node = Node(kind, mode, uid, gid, seconds, nanoseconds, size, offset)
    node.xattrs = _attributes(heap, xattrs)
    if kind == FILE:
        node.content = value.take(32)
    elif kind in (SYMLINK, FAR_LINK):
        node.link = _in_heap(heap, value.number(4), value.number(4))
    elif kind in (CHAR, BLOCK):
        node.device = (value.number(4), value.number(4))
    check(not any(value.take(value.left)), "a value that is not 0")
    name = _in_heap(heap, name_at, name_bytes)
    return _Row(name, flags & ~HAS_CONTENT, directory, end_or_first, node)


def _attributes(heap: bytes, at: int) -> dict[bytes, bytes]:
    if at == NONE:
        return {}
    size = int.from_bytes(_in_heap(heap, at, 4), "little")
    fields = Fields(_in_heap(heap, at + 4, size))
    found = {}
    while fields.left:
        name = fields.take(fields.number(4))
        found[name] = fields.take(fields.number(4))
    check(list(found) == sorted(found), "attributes out of order")
    return found


def _in_heap(heap: bytes, at: int, size: int) -> bytes:
    check(at + size <= len(heap), "a place outside of the heap")
    return heap[at : at + size]
