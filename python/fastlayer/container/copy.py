"""Copies files out of an image or container, by docker cp's rules, without mounting anything."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path

from fastlayer.container.tree import MergedTree, Node
from fastlayer.errors import PathNotFoundError, UsageError

Warn = Callable[[str], None]
"""Told about a file that cannot be copied (a socket, a device without the right)."""


def copy_out(
    tree: MergedTree,
    source: str,
    destination: str,
    *,
    archive: bool = False,
    follow: bool = False,
    warn: Warn = lambda _: None,
) -> None:
    """Copy a path of a tree to a path of the machine.

    Parameters
    ----------
    tree:
        Where from.
    source:
        Absolute path in the tree; one that ends in ``/.`` means a directory's content.
    destination:
        As docker cp has it: an existing directory gets the source inside it, else it is the name.
    archive:
        Whether owners are kept; else the files are the caller's.
    follow:
        Whether a source that is a link means its target.

    Raises
    ------
    PathNotFoundError
        The source does not exist, or the destination's parent does not.
    UsageError
        A directory onto a file, or a file onto a name with a slash at its end.
    """
    ends_in_slash = source.endswith(("/", "/."))
    node = tree.resolve(source, follow_last=follow or ends_in_slash)
    target = Path(destination)
    if node.kind == "directory":
        if target.exists() and not target.is_dir():
            raise UsageError(f"cannot copy the directory {source} onto the file {destination}")
        if target.is_dir() and not source.endswith("/."):
            target = target / _base_name(node, source)
    elif target.is_dir():
        target = target / _base_name(node, source)
    elif destination.endswith("/"):
        raise PathNotFoundError(f"destination directory {destination} does not exist")
    if not target.absolute().parent.is_dir():
        raise PathNotFoundError(f"no such directory: {target.parent}")
    extract(tree, node, target, owners=archive, warn=warn)


def extract(
    tree: MergedTree, node: Node, target: Path, *, owners: bool, warn: Warn = lambda _: None
) -> None:
    """Write a node and all below it as ``target``; what exists is merged into or replaced."""
    directories: list[tuple[Path, Node]] = []
    links: dict[object, Path] = {}
    for entry in tree.walk(node):
        relative = entry.path[len(node.path) :].lstrip(b"/")
        place = target / os.fsdecode(relative) if relative else target
        if entry.kind == "directory":
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                place.unlink()
            place.mkdir(exist_ok=True)
            directories.append((place, entry))
            continue
        if place.is_dir() and not place.is_symlink():
            raise UsageError(f"cannot copy the file {os.fsdecode(entry.path)} onto {place}/")
        place.unlink(missing_ok=True)
        first = links.get(entry.link_group) if entry.link_group is not None else None
        if first is not None:
            os.link(first, place, follow_symlinks=False)
            continue
        if _make(tree, entry, place, warn):
            _dress(place, entry, owners)
            if entry.link_group is not None:
                links[entry.link_group] = place
    for place, entry in reversed(directories):
        _dress(place, entry, owners)


def write_archive(tree: MergedTree, source: str, output: RawIOBase, *, follow: bool) -> None:
    """Write a path of a tree as a tar stream, its last component as the top name."""
    node = tree.resolve(source, follow_last=follow or source.endswith(("/", "/.")))
    top = b"." if source.endswith("/.") else _base_name(node, source).encode()
    links: dict[object, str] = {}
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in tree.walk(node):
            relative = entry.path[len(node.path) :].lstrip(b"/")
            name = os.fsdecode(top + (b"/" + relative if relative else b""))
            _archive_entry(tree, archive, entry, name, links)


def _archive_entry(
    tree: MergedTree, archive: tarfile.TarFile, entry: Node, name: str, links: dict[object, str]
) -> None:
    kinds = {
        "file": tarfile.REGTYPE,
        "directory": tarfile.DIRTYPE,
        "symlink": tarfile.SYMTYPE,
        "char": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }
    if entry.kind not in kinds:
        return  # a socket has no form in a tar
    member = tarfile.TarInfo(name)
    member.type = kinds[entry.kind]
    member.mode, member.uid, member.gid = entry.mode, entry.uid, entry.gid
    member.mtime = entry.mtime // 1_000_000_000
    member.linkname = os.fsdecode(entry.link)
    member.devmajor, member.devminor = entry.device
    first = links.setdefault(entry.link_group, name) if entry.link_group is not None else name
    if first != name:
        member.type, member.linkname = tarfile.LNKTYPE, first
    if member.type != tarfile.REGTYPE:
        archive.addfile(member)
        return
    with os.fdopen(os.memfd_create("copy", os.MFD_CLOEXEC), "r+b") as content:
        tree.read_to(entry, content.fileno())
        member.size = content.seek(0, os.SEEK_END)
        content.seek(0)
        archive.addfile(member, content)


def _base_name(node: Node, source: str) -> str:
    name = source.rstrip("/").rpartition("/")[2]
    return name if name and name not in {".", ".."} else os.fsdecode(node.name) or "."


def _make(tree: MergedTree, entry: Node, place: Path, warn: Warn) -> bool:
    """Make what is no directory; gives whether it could be made."""
    if entry.kind == "symlink":
        os.symlink(entry.link, os.fsencode(place))
    elif entry.kind == "file":
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(place, flags, 0o600)
        try:
            tree.read_to(entry, descriptor)
        finally:
            os.close(descriptor)
    elif entry.kind == "fifo":
        os.mkfifo(place)
    elif entry.kind in {"char", "block"}:
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        try:
            os.mknod(place, kind | entry.mode, os.makedev(*entry.device))
        except PermissionError:
            warn(f"skipped the device {os.fsdecode(entry.path)}: making one needs root")
            return False
    else:
        warn(f"skipped the socket {os.fsdecode(entry.path)}")
        return False
    return True


def _dress(place: Path, entry: Node, owners: bool) -> None:
    """Owner, mode, xattrs and times, in the order in which none undoes another."""
    if owners:
        os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(place, entry.mode)
    for name, value in entry.xattrs.items():
        # A file system without extended attributes, or a caller without the right, loses them.
        with contextlib.suppress(OSError):
            os.setxattr(place, name, value, follow_symlinks=False)
    os.utime(place, ns=(entry.mtime, entry.mtime), follow_symlinks=False)
