"""Tree ids of chains: docs/formats/tree-id.md, over the entries of docs/formats/tree-index.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.conformance.formats.reader.hashes import tree_hash
from tests.conformance.formats.reader.tree import (
    BLOCK,
    CHAR,
    DIRECTORY,
    FAR_LINK,
    FILE,
    IMPLICIT,
    OPAQUE,
    OVER,
    PIPE,
    SYMLINK,
    WHITEOUT,
    Entry,
    Node,
    Path,
)

Tree = dict[Path, Node]
_LETTERS = {FILE: b"f", DIRECTORY: b"d", SYMLINK: b"s", CHAR: b"c", BLOCK: b"b", PIPE: b"p"}


def merged(layers: Iterable[Sequence[Entry]]) -> Tree:
    """The merged tree of a chain's layers, the base's first; hard links are one node."""
    tree: Tree = {(): Node(DIRECTORY, mode=0o755)}
    for entries in layers:
        lower = dict(tree)
        firsts: dict[bytes, Node] = {}
        for entry in entries:
            path = tuple(entry.path.split(b"/")) if entry.path else ()
            node = entry.node
            if entry.first is not None:
                node = firsts[entry.first]
            firsts[entry.path] = node
            if node.kind == FAR_LINK:
                node = lower[tuple(node.link.split(b"/"))]
            old = tree.get(path)
            merges = node.kind == DIRECTORY and old is not None and old.kind == DIRECTORY
            if not merges or entry.flags & (OPAQUE | OVER):
                for at in [at for at in tree if at[: len(path)] == path and at != path]:
                    del tree[at]
            if node.kind == WHITEOUT:
                tree.pop(path, None)
            elif not (merges and entry.flags & IMPLICIT and not entry.flags & OVER):
                tree[path] = node
    return tree


def tree_id(tree: Tree) -> str:
    """The digits of a tree's id."""
    children: dict[Path, list[Path]] = {}
    for path in sorted(tree):
        if path:
            children.setdefault(path[:-1], []).append(path)
    seen: dict[int, Path] = {}

    def description(path: Path) -> bytes:
        node = tree[path]
        if node.kind != DIRECTORY:
            first = seen.setdefault(id(node), path)
            if first != path:
                return b"l" + _text(b"/".join(first))
        mode = 0 if node.kind == SYMLINK else node.mode
        head = _LETTERS[node.kind] + b"".join(map(_number, (mode, node.uid, node.gid)))
        head += _number(len(node.xattrs))
        for name, value in sorted(node.xattrs.items()):
            head += _text(name) + _text(value)
        if node.kind == FILE:
            return head + node.content
        if node.kind == SYMLINK:
            return head + _text(node.link)
        if node.kind in (CHAR, BLOCK):
            return head + b"".join(map(_number, node.device))
        if node.kind == DIRECTORY:
            inner = [_text(at[-1]) + description(at) for at in children.get(path, [])]
            return head + tree_hash(b"".join(inner))
        return head

    return tree_hash(description(())).hex()


def _number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(8, "little") + value
