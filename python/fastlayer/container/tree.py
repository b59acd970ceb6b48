"""A container's or image's files seen as one tree: an upper directory over a chain of layers.

Nothing is mounted. The upper may be written by a hostile container at the same time, so every
step into it is relative to an open directory and follows no link.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastlayer.errors import LimitError, PathNotFoundError
from fastlayer.store import Entry, Store

_MAXIMUM_LINKS = 40
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_BLOCK = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One path of the tree; ``mtime`` is in nanoseconds, ``link_group`` equal for hard links."""

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    link_group: object = None
    in_upper: bool = False

    @property
    def name(self) -> bytes:
        """The last component; empty for the root."""
        return self.path.rpartition(b"/")[2]


class MergedTree:
    """An upper, where there is one, over a chain.

    Parameters
    ----------
    store, chain:
        The layers, the base's first.
    upper:
        A writable layer in overlay's form, or ``None``.
    """

    def __init__(self, store: Store, chain: Sequence[str], upper: Path | None = None) -> None:
        self._store = store
        self._chain = chain
        self._upper = upper

    def lookup(self, path: bytes) -> Node | None:
        """What is at exactly a path, no link followed; ``None`` where nothing is."""
        if self._upper is not None:
            found, hidden = self._find_upper(path)
            if found is not None or hidden:
                return found
        if not self._chain:
            return None
        entry = self._store.stat(self._chain, path, follow=False)
        return None if entry is None else _from_entry(entry)

    def resolve(self, text: str, *, follow_last: bool = True) -> Node:
        """What is at a path of the user's, links resolved inside the tree.

        Raises
        ------
        PathNotFoundError
            Nothing is there, or links go round in circles.
        """
        pending = [part for part in os.fsencode(text).split(b"/") if part not in {b"", b"."}]
        pending.reverse()
        current: list[bytes] = []
        links = 0
        node = self.lookup(b"")
        while pending:
            part = pending.pop()
            if part == b"..":
                current = current[:-1]
                continue
            node = self.lookup(b"/".join([*current, part]))
            if node is None:
                raise PathNotFoundError(f"no such file or directory: {text}")
            if node.kind == "symlink" and (pending or follow_last):
                links += 1
                if links > _MAXIMUM_LINKS:
                    raise PathNotFoundError(f"too many symbolic links: {text}")
                if node.link.startswith(b"/"):
                    current = []
                parts = [p for p in node.link.split(b"/") if p not in {b"", b"."}]
                pending.extend(reversed(parts))
                continue
            current.append(part)
            if pending and node.kind != "directory":
                raise PathNotFoundError(f"not a directory in {text}: {os.fsdecode(node.path)}")
        node = self.lookup(b"/".join(current))
        if node is None and current:
            raise PathNotFoundError(f"no such file or directory: {text}")
        return node or Node(b"", "directory", 0o755, 0, 0, 0)

    def list(self, node: Node) -> list[Node]:
        """The children of a directory, sorted by bytes."""
        names: set[bytes] = set()
        if self._upper is not None:
            with self._opened(node.path) as directory:
                if directory is not None:
                    names.update(os.fsencode(name) for name in os.listdir(directory))
        prefix = node.path + b"/" if node.path else b""
        found = {name: self.lookup(prefix + name) for name in names}
        base = self.lookup_chain(node.path)
        hidden = self._hides_below(node.path)
        if not hidden and base is not None and base.kind == "directory":
            for entry in self._store.list(self._chain, node.path):
                found.setdefault(entry.path.rpartition(b"/")[2], _from_entry(entry))
        return [child for _, child in sorted(found.items()) if child is not None]

    def lookup_chain(self, path: bytes) -> Entry | None:
        """What the layers alone have at a path."""
        return self._store.stat(self._chain, path, follow=False) if self._chain else None

    def walk(self, node: Node) -> Iterator[Node]:
        """A node and everything below it, parents first."""
        if self._upper is None and node.kind == "directory":
            yield from self._walk_chain(node)
            return
        pending = [node]
        while pending:  # a tree may be deeper than Python's calls
            node = pending.pop()
            yield node
            if node.kind == "directory":
                pending += reversed(self.list(node))

    def _walk_chain(self, node: Node) -> Iterator[Node]:
        """The walk of layers alone, which the store does at once and with its hard links."""
        below = node.path + b"/" if node.path else b""
        for entry in self._store.walk(self._chain) if self._chain else ():
            if entry.path == node.path or entry.path.startswith(below):
                group = None if entry.kind == "directory" else entry.hardlink or entry.path
                yield replace(_from_entry(entry), link_group=group)

    def read_to(self, node: Node, descriptor: int, *, limit: int = sys.maxsize) -> None:
        """Write a file's content, at most ``limit`` bytes of an upper's, to a descriptor.

        What a running container appends meanwhile is not written: that might have no end.

        Raises
        ------
        PathNotFoundError
            A running container took it away meanwhile.
        """
        if not node.in_upper:
            self._store.read_to(self._chain, node.path, descriptor)
            return
        with self._opened(node.path.rpartition(b"/")[0]) as parent:
            if parent is None:
                raise PathNotFoundError(f"the container removed {os.fsdecode(node.path)}")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                source = os.open(node.name, flags, dir_fd=parent)
            except OSError as error:
                raise PathNotFoundError(
                    f"the container replaced {os.fsdecode(node.path)}"
                ) from error
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise PathNotFoundError(f"the container replaced {os.fsdecode(node.path)}")
            _copy(source, descriptor, min(status.st_size, limit))
        finally:
            os.close(source)

    def read(self, text: str, *, limit: int) -> bytes:
        """The content of a small file, links followed.

        Raises
        ------
        PathNotFoundError
            There is no such regular file.
        LimitError
            It is larger than ``limit`` bytes.
        """
        node = self.resolve(text)
        if node.kind != "file":
            raise PathNotFoundError(f"not a regular file: {text}")
        if not node.in_upper:
            return self._store.read(self._chain, node.path, limit=limit)
        if node.size > limit:
            raise LimitError(f"{text} has {node.size} bytes, more than {limit}")
        with os.fdopen(os.memfd_create("read", os.MFD_CLOEXEC), "r+b") as content:
            self.read_to(node, content.fileno(), limit=limit)
            content.seek(0)
            return content.read(limit)

    def _hides_below(self, path: bytes) -> bool:
        """Whether the upper hides what layers have below a directory."""
        if self._upper is None:
            return False
        current = os.open(self._upper, _DIRECTORY)
        try:
            for part in path.split(b"/") if path else []:
                if _is_opaque(current):
                    return True
                following = _step(current, part)
                if following is None:
                    return _exists(current, part)
                os.close(current)
                current = following
            return _is_opaque(current)
        finally:
            os.close(current)

    @contextlib.contextmanager
    def _opened(self, path: bytes) -> Iterator[int | None]:
        """A directory of the upper, open; ``None`` where the upper has none there."""
        assert self._upper is not None
        current: int | None = os.open(self._upper, _DIRECTORY)
        try:
            for part in path.split(b"/") if path else []:
                assert current is not None
                above, current = current, _step(current, part)
                os.close(above)
                if current is None:
                    break
            yield current
        finally:
            if current is not None:
                os.close(current)

    def _find_upper(self, path: bytes) -> tuple[Node | None, bool]:
        """The upper's own entry, and whether the upper hides what layers have at the path."""
        assert self._upper is not None
        current = os.open(self._upper, _DIRECTORY)
        try:
            if not path:
                return _from_upper(path, current, b"."), False
            *parents, name = path.split(b"/")
            hidden = False
            for part in parents:
                hidden = hidden or _is_opaque(current)
                following = _step(current, part)
                if following is None:
                    return None, hidden or _exists(current, part)
                os.close(current)
                current = following
            hidden = hidden or _is_opaque(current)
            try:
                status = os.stat(name, dir_fd=current, follow_symlinks=False)
            except OSError:
                return None, hidden
            if _is_whiteout(status):
                return None, True
            return _from_upper(path, current, name), True
        finally:
            os.close(current)


def _step(directory: int, name: bytes) -> int | None:
    """The directory of that name, open; ``None`` where something else or nothing is there."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError:
        return None


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _copy(source: int, descriptor: int, size: int) -> None:
    """Copy so many bytes, or up to the file's end where it was cut meanwhile."""
    while size and (block := os.read(source, min(_BLOCK, size))):
        size -= len(block)
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]


def _from_entry(entry: Entry) -> Node:
    seconds, nanoseconds = entry.mtime
    return Node(
        path=entry.path,
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=seconds * 1_000_000_000 + nanoseconds,
        size=entry.size,
        link=entry.link,
        device=entry.device,
        xattrs=dict(entry.xattrs),
        link_group=entry.hardlink or None,
    )


def _from_upper(path: bytes, directory: int, name: bytes) -> Node | None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        link = os.readlink(name, dir_fd=directory) if kind == "symlink" else b""
    except OSError:
        return None
    return Node(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns,
        size=status.st_size if kind == "file" else 0,
        link=link,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
        xattrs=_xattrs(directory, name, kind),
        link_group=(status.st_dev, status.st_ino) if status.st_nlink > 1 else None,
        in_upper=True,
    )


def _xattrs(directory: int, name: bytes, kind: str) -> dict[bytes, bytes]:
    if kind not in {"file", "directory"}:
        return {}
    try:
        descriptor = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
        )
    except OSError:
        return {}
    try:
        return {
            os.fsencode(attribute): os.getxattr(descriptor, attribute)
            for attribute in os.listxattr(descriptor)
            if not attribute.startswith(_OVERLAY)
        }
    except OSError:
        return {}
    finally:
        os.close(descriptor)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(directory, name) == b"y":
                return True
        except OSError:
            continue
    return False
