"""What a layer's tar unpacks to: docs/formats/tree-index.md, "How a tar becomes an index"."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.conformance.formats.reader.hashes import content_id
from tests.conformance.formats.reader.refusal import RefusedError, check
from tests.conformance.formats.reader.tar import Member, members, real_content

FILE, DIRECTORY, SYMLINK, CHAR, BLOCK, PIPE, WHITEOUT, FAR_LINK = range(1, 9)
OPAQUE, IMPLICIT, OVER = 1, 2, 4
IN_PIECES = (1 << 64) - 1
_KINDS = {b"0": FILE, b"2": SYMLINK, b"3": CHAR, b"4": BLOCK, b"5": DIRECTORY, b"6": PIPE}
_MAX_LINKS = 40
Path = tuple[bytes, ...]


@dataclass(slots=True)
class Node:
    """A file of a layer; ``offset`` and ``content`` are those of a regular file."""

    kind: int
    mode: int = 0
    uid: int = 0
    gid: int = 0
    seconds: int = 0
    nanoseconds: int = 0
    size: int = 0
    offset: int = 0
    device: tuple[int, int] = (0, 0)
    link: bytes = b""
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    content: bytes = bytes(32)


@dataclass(slots=True)
class Place:
    """What is at a path. Hard links are places with one node."""

    node: Node
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a tree index; ``first`` is the first path of its hardlink group, if not its own."""

    path: bytes
    node: Node
    flags: int
    first: bytes | None


def tree_of(tar: bytes) -> list[Entry]:
    """The entries of a layer, sorted."""
    tree = _Tree()
    for member in members(tar):
        tree.add(tar, member)
    return tree.entries()


class _Tree:
    def __init__(self) -> None:
        self.places: dict[Path, Place] = {(): Place(_implicit(), IMPLICIT)}
        self.whited: set[Path] = set()
        self.opaque: set[Path] = set()

    def add(self, tar: bytes, member: Member) -> None:
        """What a member does to what the ones before it made."""
        named = normal(member.name)
        if any(part.startswith(b".wh..wh.") and part != b".wh..wh..opq" for part in named):
            return
        if not named:
            if member.kind == b"5":
                self.put((), _node(tar, member))
            return
        parent = self.resolve(named[:-1])
        self.make_parents(parent)
        last = named[-1]
        if last == b".wh..wh..opq":
            self.opaque.add(parent)
        elif last.startswith(b".wh."):
            self.whited.add((*parent, last.removeprefix(b".wh.")))
        elif member.kind == b"1":
            self.link((*parent, last), member)
        else:
            self.put((*parent, last), _node(tar, member))

    def link(self, path: Path, member: Member) -> None:
        """A hard link: to a file of the layer, or else of a lower one."""
        target = normal(member.link)
        target = (*self.resolve(target[:-1]), target[-1])
        found = self.places.get(target)
        if found is None:
            node = _attributes(FAR_LINK, member)
            node.link = b"/".join(target)
            self.put(path, node)
        else:
            check(found.node.kind != DIRECTORY, "a hard link to a directory")
            if target != path:
                self.put(path, found.node)

    def put(self, path: Path, node: Node) -> None:
        """Place something, in the place of whatever is there."""
        old = self.places.get(path)
        flags = 0
        if node.kind == DIRECTORY and old is not None:
            flags = old.flags & OPAQUE
            if old.node.kind != DIRECTORY:
                flags = OPAQUE
        elif old is not None and old.node.kind == DIRECTORY:
            for below in [at for at in self.places if at[: len(path)] == path]:
                del self.places[below]
            for marks in (self.whited, self.opaque):
                marks -= {at for at in marks if at[: len(path)] == path and at != path}
            self.opaque.discard(path)
        self.places[path] = Place(node, flags)

    def make_parents(self, path: Path) -> None:
        """Every directory on the way."""
        for depth in range(1, len(path) + 1):
            found = self.places.get(path[:depth])
            if found is None:
                self.places[path[:depth]] = Place(_implicit(), IMPLICIT)
            else:
                check(found.node.kind == DIRECTORY, "a path below a file")

    def resolve(self, path: Path) -> Path:
        """A directory's path with the layer's own links followed."""
        left, links = list(path), 0
        found: list[bytes] = []
        while left:
            part = left.pop(0)
            if part == b"..":
                found = found[:-1]
                continue
            place = self.places.get((*found, part))
            if place is None or place.node.kind != SYMLINK:
                found.append(part)
                continue
            links += 1
            check(links <= _MAX_LINKS, "too many links")
            if place.node.link.startswith(b"/"):
                found = []
            left = [p for p in place.node.link.split(b"/") if p not in (b"", b".")] + left
        return tuple(found)

    def entries(self) -> list[Entry]:
        """All places and whiteouts, sorted."""
        for path in self.opaque:
            self.places[path].flags |= OPAQUE
        for path in self.whited:
            found = self.places.get(path)
            if found is None:
                self.places[path] = Place(Node(WHITEOUT))
            else:
                found.flags |= OVER | (OPAQUE if found.node.kind == DIRECTORY else 0)
        firsts: dict[int, bytes] = {}
        rows = []
        for path in sorted(self.places):
            place, name = self.places[path], b"/".join(path)
            first = firsts.setdefault(id(place.node), name)
            rows.append(Entry(name, place.node, place.flags, first if first != name else None))
        return rows


def normal(name: bytes) -> Path:
    """A member's path without what says nothing."""
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    check(b".." not in parts, "a path that leads out")
    return parts


def _implicit() -> Node:
    return Node(DIRECTORY, mode=0o755)


def _attributes(kind: int, member: Member) -> Node:
    return Node(
        *(kind, member.mode, member.uid, member.gid, member.seconds, member.nanoseconds),
        xattrs=member.xattrs,
    )


def _node(tar: bytes, member: Member) -> Node:
    if member.kind not in _KINDS:
        raise RefusedError(f"a member of kind {member.kind!r}")
    node = _attributes(_KINDS[member.kind], member)
    node.device = member.device
    node.link = member.link if member.kind == b"2" else b""
    if node.kind == FILE:
        node.size = member.size
        node.offset = member.content if member.pieces is None else IN_PIECES
        node.content = content_id(real_content(tar, member))
    return node
