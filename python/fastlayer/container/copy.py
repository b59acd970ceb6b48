"""Copies files out of an image or container, by docker cp's rules, without mounting anything."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path

from fastlayer.container.folder import Folder
from fastlayer.container.tree import MergedTree, Node
from fastlayer.errors import PathNotFoundError, StoreIOError, UsageError

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
    """Write a node and all below it as ``target``; what exists is merged into or replaced.

    Raises
    ------
    StoreIOError
        The target cannot be written.
    """
    try:
        if node.kind == "directory":
            target.mkdir(exist_ok=True)
            top = b""
        else:
            top = os.fsencode(target.name)
            target = target.parent
        with contextlib.closing(Folder(target)) as folder:
            _extract_into(folder, top, tree, node, owners, warn)
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else os.fspath(target)
        raise StoreIOError(f"{place}: {error.strerror}", errno=error.errno) from error


def _extract_into(
    folder: Folder, top: bytes, tree: MergedTree, node: Node, owners: bool, warn: Warn
) -> None:
    directories: list[tuple[bytes, Node]] = []
    links: dict[object, bytes] = {}
    for entry in tree.walk(node):
        place = top + entry.path[len(node.path) :]
        place = place.lstrip(b"/")
        if entry.kind == "directory":
            if place:
                folder.make_directory(place)
            directories.append((place, entry))
            continue
        if folder.is_directory(place):
            raise UsageError(
                f"cannot copy the file {os.fsdecode(entry.path)} onto the directory "
                f"{os.fsdecode(place)}/"
            )
        folder.remove(place)
        first = links.get(entry.link_group) if entry.link_group is not None else None
        if first is not None:
            folder.link(first, place)
        elif _make(folder, tree, entry, place, warn):
            _dress(folder, place, entry, owners)
            if entry.link_group is not None:
                links[entry.link_group] = place
    for place, entry in reversed(directories):
        _dress(folder, place, entry, owners)


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
    member.size = entry.size
    with _streamed(tree, entry) as content:
        try:
            archive.addfile(member, content)
        except OSError as error:
            if error.errno:  # tarfile's own error for a stream that ends too soon has none
                raise
            raise PathNotFoundError(f"the container cut {os.fsdecode(entry.path)}") from error


@contextlib.contextmanager
def _streamed(tree: MergedTree, entry: Node) -> Iterator[BufferedReader]:
    """A file's content as a stream, so that memory need not hold it."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    failures: list[Exception] = []

    def feed() -> None:
        try:
            tree.read_to(entry, writer)
        except Exception as error:  # whatever it is, the other thread raises it
            failures.append(error)
        finally:
            os.close(writer)

    feeder = threading.Thread(target=feed, name="fastlayer-copy")
    feeder.start()
    whole = False
    try:
        with os.fdopen(reader, "rb") as content:
            yield content
            whole = True
    finally:
        feeder.join()
        if whole and failures:
            raise failures[0]


def _base_name(node: Node, source: str) -> str:
    name = source.rstrip("/").rpartition("/")[2]
    return name if name and name not in {".", ".."} else os.fsdecode(node.name) or "."


def _make(folder: Folder, tree: MergedTree, entry: Node, place: bytes, warn: Warn) -> bool:
    """Make what is no directory; gives whether it could be made."""
    if entry.kind == "symlink":
        folder.symlink(place, entry.link)
    elif entry.kind == "file":
        descriptor = folder.create(place)
        try:
            tree.read_to(entry, descriptor)
        finally:
            os.close(descriptor)
    elif entry.kind == "fifo":
        folder.make_node(place, stat.S_IFIFO | 0o600, 0)
    elif entry.kind in {"char", "block"}:
        kind = stat.S_IFCHR if entry.kind == "char" else stat.S_IFBLK
        try:
            folder.make_node(place, kind | 0o600, os.makedev(*entry.device))
        except PermissionError:
            warn(f"skipped the device {os.fsdecode(entry.path)}: making one needs root")
            return False
    else:
        warn(f"skipped the socket {os.fsdecode(entry.path)}")
        return False
    return True


def _dress(folder: Folder, place: bytes, entry: Node, owners: bool) -> None:
    folder.dress(
        place,
        owner=(entry.uid, entry.gid) if owners else None,
        mode=None if entry.kind == "symlink" else entry.mode,
        xattrs=entry.xattrs,
        mtime=entry.mtime,
    )
