"""The one comparer of file trees: it says which field of which path differs.

A tree is a mapping of path to :class:`Node`, read from a tar here and from disk by
``tree_folder``. Everything that a layer can carry counts; mtimes count in whole seconds, and only
where the caller asks for them.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """One path's fields; ``link_group`` is the first path of its hardlink group."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    digest: str
    link: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]
    link_group: str
    mtime: int


def _kind(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.DIRTYPE: "directory",
        tarfile.SYMTYPE: "symlink",
        tarfile.CHRTYPE: "char",
        tarfile.BLKTYPE: "block",
        tarfile.FIFOTYPE: "fifo",
    }
    return kinds.get(member.type, "file")


def _clean(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/".join(parts)


def read_tar(source: Path | IO[bytes]) -> dict[str, Node]:
    """The tree that a plain tar of a whole file system describes; the root is ``""``."""
    nodes: dict[str, Node] = {}
    opened = source if not isinstance(source, Path) else source.open("rb")
    with tarfile.open(fileobj=opened, mode="r|") as archive:
        for member in archive:
            path = _clean(member.name)
            if member.islnk():
                first = nodes[_clean(member.linkname)]
                group = first.link_group or _clean(member.linkname)
                nodes[group] = _with_group(nodes[group], group)
                nodes[path] = nodes[group]
                continue
            digest = ""
            if member.isreg():
                content = archive.extractfile(member)
                hashed = hashlib.sha256()
                while content and (chunk := content.read(CHUNK)):
                    hashed.update(chunk)
                digest = hashed.hexdigest()
            xattrs = {
                key.removeprefix("SCHILY.xattr."): value
                for key, value in member.pax_headers.items()
                if key.startswith("SCHILY.xattr.")
            }
            nodes[path] = Node(
                kind=_kind(member),
                mode=member.mode & 0o7777,
                uid=member.uid,
                gid=member.gid,
                size=member.size,
                digest=digest,
                link=member.linkname if member.issym() else "",
                device=(member.devmajor, member.devminor) if member.isdev() else (0, 0),
                xattrs=tuple(sorted(xattrs.items())),
                link_group="",
                mtime=int(member.mtime // 1),
            )
    return nodes


def _with_group(node: Node, group: str) -> Node:
    return replace(node, link_group=group)


def merge(layers: Sequence[Mapping[str, Node]]) -> dict[str, Node]:
    """The tree that layers make on top of each other; whiteouts are applied.

    Each layer is what :func:`read_tar` gives of its tar. A hardlink group is that of one layer:
    what is left of it is named after its first path.
    """
    tree: dict[str, Node] = {}
    for number, layer in enumerate(layers):
        for path in layer:
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                _remove(tree, folder, itself=False)
            elif name.startswith(".wh."):
                _remove(tree, f"{folder}/{name[4:]}".lstrip("/"), itself=True)
        for path, node in layer.items():
            if path.rpartition("/")[2].startswith(".wh."):
                continue
            old = tree.get(path)
            if old is not None and old.kind == "directory" and node.kind != "directory":
                _remove(tree, path, itself=True)
            group = f"{number}:{node.link_group}" if node.link_group else ""
            tree[path] = replace(node, link_group=group)
    return name_groups(tree)


def name_groups(tree: Mapping[str, Node]) -> dict[str, Node]:
    """The same tree with each hardlink group named after its first path, and none of one path."""
    groups = defaultdict(list)
    for path, node in tree.items():
        if node.link_group:
            groups[node.link_group].append(path)
    named = dict(tree)
    for paths in groups.values():
        first = min(paths) if len(paths) > 1 else ""
        for path in paths:
            named[path] = replace(tree[path], link_group=first)
    return named


def _remove(tree: dict[str, Node], path: str, *, itself: bool) -> None:
    below = f"{path}/" if path else ""
    for name in [name for name in tree if name and name.startswith(below)]:
        del tree[name]
    if itself:
        tree.pop(path, None)


def equal_when_new(tree: Mapping[str, Node], start: float) -> dict[str, Node]:
    """The same tree with one mtime for all that is newer than ``start``, seconds: two builds
    never make a file in the same second, so that alone is no difference.
    """
    return {
        path: replace(node, mtime=int(start)) if node.mtime >= int(start) else node
        for path, node in tree.items()
    }


def differences(
    expected: Mapping[str, Node],
    found: Mapping[str, Node],
    *,
    ignore_fields: Iterable[str] = ("mtime",),
    ignore_paths: Iterable[str] = ("",),
) -> list[str]:
    """Every difference as ``path: field expected != found``; an empty list means equal trees."""
    ignored = set(ignore_fields)
    names = [field.name for field in fields(Node) if field.name not in ignored]
    lines = []
    for path in sorted((set(expected) | set(found)) - set(ignore_paths)):
        left, right = expected.get(path), found.get(path)
        if left is None or right is None:
            lines.append(f"/{path}: {'missing' if right is None else 'not expected'}")
            continue
        for name in names:
            if left.kind == "symlink" and name == "mode":
                continue  # symlinks have no mode
            if getattr(left, name) != getattr(right, name):
                lines.append(f"/{path}: {name} {getattr(left, name)!r} != {getattr(right, name)!r}")
    return lines
