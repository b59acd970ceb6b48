"""Trees on disk, as the comparer takes them: each path's fields, read past any path's length.

Every step goes by directory handle: paths may be longer than the kernel takes. Directories on the
way are not changed; a directory's own time is that before anything in it is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from tests.support.tree_compare import CHUNK, Node, name_groups

_KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISREG: "file",
    stat.S_ISDIR: "directory",
    stat.S_ISLNK: "symlink",
    stat.S_ISCHR: "char",
    stat.S_ISBLK: "block",
    stat.S_ISFIFO: "fifo",
    stat.S_ISSOCK: "socket",
}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_MACHINE = ("security.selinux", "security.ima", "security.evm")
"""Attributes that describe the machine a file lies on."""


def read_folder(root: Path) -> dict[str, Node]:
    """The tree below a directory, its own node as ``""``.

    Names that are no UTF-8 have surrogates, as everywhere in Python. All extended attributes
    count, access-control lists and capabilities among them, but for those of the machine and
    overlay's own.
    """
    nodes: dict[str, Node] = {}
    handle = os.open(root, _FOLDER)
    try:
        nodes[""] = _node(handle, ".")
        _read(handle, "", nodes)
    finally:
        os.close(handle)
    return name_groups(nodes)


def _read(handle: int, above: str, nodes: dict[str, Node]) -> None:
    for name in sorted(os.listdir(handle)):
        path = f"{above}/{name}" if above else name
        node = _node(handle, name)
        nodes[path] = node
        if node.kind == "directory":
            inner = os.open(name, _FOLDER, dir_fd=handle)
            try:
                _read(inner, path, nodes)
            finally:
                os.close(inner)


def _node(handle: int, name: str) -> Node:
    status = os.stat(name, dir_fd=handle, follow_symlinks=False)
    kind = next(kind for test, kind in _KINDS.items() if test(status.st_mode))
    is_device = kind in ("char", "block")
    linked = kind != "directory" and status.st_nlink > 1
    return Node(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == "file" else 0,
        digest=_digest(handle, name) if kind == "file" else "",
        link=os.readlink(name, dir_fd=handle) if kind == "symlink" else "",
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
        xattrs=_xattrs(f"/proc/self/fd/{handle}/{name}"),
        link_group=f"{status.st_dev}:{status.st_ino}" if linked else "",
        mtime=status.st_mtime_ns // 1_000_000_000,
    )


def _digest(handle: int, name: str) -> str:
    hashed = hashlib.sha256()
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=handle)
    try:
        while chunk := os.read(file, CHUNK):
            hashed.update(chunk)
    finally:
        os.close(file)
    return hashed.hexdigest()


def _xattrs(path: str) -> tuple[tuple[str, str], ...]:
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(
        (name, os.fsdecode(os.getxattr(path, name, follow_symlinks=False)))
        for name in sorted(names)
        if name not in _MACHINE and not name.startswith(("trusted.overlay.", "user.overlay."))
    )
