"""Random edits of a real tree: every kind of file, every attribute, every turn of one to another.

An edit is a few numbers that a property-testing library draws; what they do depends on the tree
they meet, so any list of them can be applied to any tree, and shorter lists are simpler cases.
Edits that the file system refuses (a full name, a rename of a directory into itself) do nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

NAMES = (
    *(b"a", b"b", b"c", b"d d", b"-e"),
    *(b"\xff\xfe\x80", b"n" * 255, "ü".encode(), b"line\nbreak", b".hidden", b"wh.x", b"a.b"),
)
"""Short, odd and longest names; few, so that edits meet each other's results."""

CONTENTS = (b"", b"x", b"y" * 4096, b"z" * 4097, b"z" * 4096 + b"w", os.urandom(70_000))
MODES = (0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777, 0o000, 0o6711)
OWNERS = ((0, 0), (1, 2), (1000, 1001), (65534, 65534), (4_000_000_000, 4_000_000_000), (0, 70_000))
TIMES = (0, 1, 1_000_000_000, 1_700_000_000, 4_000_000_000, -1)
DEVICES = ((60, 3), (61, 0), (4095, 1_048_575), (62, 70_000))
"""Numbers that no driver has: whatever opens such a node by mistake does no harm."""
DEEP_NAME = b"deep" + b"p" * 246
DEEP_LEVELS = 20
"""Levels of 250 bytes and a slash: paths of more than 5,000 bytes."""
HOLE = 300_000
"""Bytes that a hole is long."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is done, to which path, to or with which other one, and how."""

    what: int
    path: int
    other: int
    how: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A name in an open directory."""

    folder: int
    name: bytes

    @property
    def link(self) -> str:
        """A path that leads there however deep it is."""
        return f"/proc/self/fd/{self.folder}/{os.fsdecode(self.name)}"

    @property
    def mode(self) -> int:
        """Type and mode; 0 where nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0


def apply_edits(root: Path, edits: list[Edit], *, move_directories: bool = True) -> None:
    """Apply edits one after the other to the tree below ``root``.

    ``mv`` copies a directory where overlay does not rename it, and the copy may differ (in a
    directory with the set-group-id bit it gets that bit too).
    """
    for edit in edits:
        with contextlib.suppress(OSError):
            _apply(root, edit, move_directories)


def without_links(edits: list[Edit]) -> list[Edit]:
    """The edits but those that give a file another name."""
    return [edit for edit in edits if _EDITS[edit.what % len(_EDITS)] is not _hardlink]


def settle_times(root: Path, start: int) -> None:
    """Give all that was changed since ``start``, seconds, one time: edits take no fixed time."""
    for path in reversed(_paths(root)[1:]):
        with _place(root, path) as place:
            status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            if start <= status.st_mtime_ns // 10**9 < start + 1000:
                times = (1_600_000_000, 1_600_000_000)
                os.utime(place.name, times, dir_fd=place.folder, follow_symlinks=False)


def random_edits(seed: int, count: int) -> list[Edit]:
    """Edits for trees that other tools take too: without paths longer than the kernel takes."""
    source = random.Random(seed)
    edits: list[Edit] = []
    while len(edits) < count:
        edit = Edit(*(source.randrange(2000) for _ in range(4)))
        if _EDITS[edit.what % len(_EDITS)] is not _deep:
            edits.append(edit)
    return edits


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An access-control list as the kernel keeps it: (tag, permissions, id) each."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def capability(permitted: int) -> bytes:
    """``security.capability`` with the given set, effective."""
    return struct.pack("<IIIII", 0x02000001, permitted, 0, 0, 0)


def _apply(root: Path, edit: Edit, move_directories: bool) -> None:
    paths = _paths(root)
    folders = [path for path in paths if path.endswith(b"/")]
    parent = folders[edit.other % len(folders)]
    with contextlib.ExitStack() as stack:
        target = parent + NAMES[edit.how % len(NAMES)]
        new = stack.enter_context(_place(root, target))
        source = paths[edit.path % len(paths)]
        old = stack.enter_context(_place(root, source.rstrip(b"/")))
        if old.name == b"." or (new.mode and edit.what % 3 == 0):
            old = new  # something that may be there already, as often as not
        make = _EDITS[edit.what % len(_EDITS)]
        if make is _move and stat.S_ISDIR(old.mode) and not move_directories:
            return
        if make in (_move, _copy) and target.startswith(source):
            return  # a copy of a directory in itself holds what the copying came across
        if make is _copy and source.startswith(target + b"/"):
            return  # it may write to what is yet to be copied: the order of the names decides
        make(old, new, edit.how // len(NAMES))


def _paths(root: Path) -> list[bytes]:
    """Every path, the root first, in order; directories end in a slash."""
    found = [b"/"]

    def walk(handle: int, above: bytes) -> None:
        for name in sorted(map(os.fsencode, os.listdir(handle))):
            if stat.S_ISDIR(_Place(handle, name).mode):
                found.append(above + name + b"/")
                inner = os.open(name, _FOLDER, dir_fd=handle)
                try:
                    walk(inner, above + name + b"/")
                finally:
                    os.close(inner)
            else:
                found.append(above + name)

    handle = os.open(root, _FOLDER)
    try:
        walk(handle, b"/")
    finally:
        os.close(handle)
    return found


@contextlib.contextmanager
def _place(root: Path, path: bytes) -> Iterator[_Place]:
    *parents, name = path.strip(b"/").split(b"/")
    handle = os.open(root, _FOLDER)
    try:
        for parent in parents:
            inner = os.open(parent, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        yield _Place(handle, name or b".")
    finally:
        os.close(handle)


def _remove(place: _Place) -> None:
    mode = place.mode
    if not mode:
        return
    if stat.S_ISDIR(mode):
        inner = os.open(place.name, _FOLDER, dir_fd=place.folder)
        try:
            for name in os.listdir(inner):
                _remove(_Place(inner, os.fsencode(name)))
        finally:
            os.close(inner)
        os.rmdir(place.name, dir_fd=place.folder)
    else:
        os.unlink(place.name, dir_fd=place.folder)


def _clear(place: _Place, how: int) -> None:
    """Make room for something else; a directory goes now and then only, for it took many edits."""
    if stat.S_ISDIR(place.mode) and how % 5:
        raise FileExistsError
    _remove(place)


def _directory(_: _Place, new: _Place, how: int) -> None:
    """A directory, in the place of whatever is there: a directory is made again, and empty."""
    _clear(new, how)
    os.mkdir(new.name, MODES[how % len(MODES)], dir_fd=new.folder)


def _file(_: _Place, new: _Place, how: int) -> None:
    _clear(new, how)
    _write(new, CONTENTS[how % len(CONTENTS)], os.O_CREAT | os.O_EXCL)


def _symlink(_: _Place, new: _Place, how: int) -> None:
    _clear(new, how)
    targets = (b"a", b"../b", b"/c", b"\xfe", b"t" * 300, b".", b"nowhere/at/all")
    os.symlink(targets[how % len(targets)], new.name, dir_fd=new.folder)


def _special(_: _Place, new: _Place, how: int) -> None:
    _clear(new, how)
    kind = (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK)[how % 3]
    device = os.makedev(*DEVICES[how % len(DEVICES)]) if kind != stat.S_IFIFO else 0
    os.mknod(new.name, kind | 0o640, device, dir_fd=new.folder)


def _socket(_: _Place, new: _Place, how: int) -> None:
    """No layer holds one, but it hides what was there."""
    _clear(new, how)
    os.mknod(new.name, stat.S_IFSOCK | 0o700, dir_fd=new.folder)


def _hardlink(old: _Place, new: _Place, how: int) -> None:
    if old.mode and not stat.S_ISDIR(old.mode) and old != new:
        _clear(new, how)
        names = {"src_dir_fd": old.folder, "dst_dir_fd": new.folder}
        os.link(old.name, new.name, follow_symlinks=False, **names)


def _delete(old: _Place, _: _Place, how: int) -> None:
    _clear(old, how)


def _move(old: _Place, new: _Place, how: int) -> None:
    """By ``mv``, which copies where overlay refuses to rename a directory."""
    if how % 2:
        _clear(new, how)
    _program("mv", old, new)


def _copy(old: _Place, new: _Place, how: int) -> None:
    if how % 2:
        _clear(new, how)
    _program("cp", old, new)


def _program(name: str, old: _Place, new: _Place) -> None:
    if old == new or not old.mode:
        return
    # What is in the way is not written to: it may be a pipe that nobody reads.
    options = ["-a", "--remove-destination"] if name == "cp" else []
    words = [name, *options, "-T", "--", old.link, new.link]
    handles = (old.folder, new.folder)
    subprocess.run(words, pass_fds=handles, capture_output=True, check=False, timeout=60)


def _content(old: _Place, _: _Place, how: int) -> None:
    """New content in place, or the same: overlay copies the file up in any case."""
    if stat.S_ISREG(old.mode):
        contents = (None, *CONTENTS)
        content = contents[how % len(contents)]
        with contextlib.closing(_Open(old, os.O_RDWR)) as file:
            if content is not None:
                os.ftruncate(file.handle, 0)
                os.write(file.handle, content)


def _hole(old: _Place, _: _Place, how: int) -> None:
    if stat.S_ISREG(old.mode):
        with contextlib.closing(_Open(old, os.O_WRONLY)) as file:
            os.ftruncate(file.handle, HOLE * (1 + how % 3))
            if how % 2:
                os.pwrite(file.handle, b"end", HOLE - 3)


def _mode(old: _Place, _: _Place, how: int) -> None:
    if old.mode and not stat.S_ISLNK(old.mode):
        os.chmod(old.name, MODES[how % len(MODES)], dir_fd=old.folder)


def _owner(old: _Place, _: _Place, how: int) -> None:
    mode, (uid, gid) = old.mode, OWNERS[how % len(OWNERS)]
    os.chown(old.name, uid, gid, dir_fd=old.folder, follow_symlinks=False)
    if how % 2 and not stat.S_ISLNK(mode):
        os.chmod(old.name, stat.S_IMODE(mode), dir_fd=old.folder)


def _time(old: _Place, _: _Place, how: int) -> None:
    """A time; with a fraction of a second, or the time that it had, for files that changed."""
    status = os.stat(old.name, dir_fd=old.folder, follow_symlinks=False)
    seconds = (*TIMES, status.st_mtime_ns // 10**9)[how % (len(TIMES) + 1)]
    nanoseconds = seconds * 10**9 + (0, 1, 999_999_999)[how % 3]
    times = (nanoseconds, nanoseconds)
    os.utime(old.name, ns=times, dir_fd=old.folder, follow_symlinks=False)


def _attribute(old: _Place, _: _Place, how: int) -> None:
    user, group, other, mask = (
        (0x01, 7, 0xFFFFFFFF),
        (0x04, 5, 0xFFFFFFFF),
        (0x20, 1, 0xFFFFFFFF),
        0x10,
    )
    named = (0x02, 6, (1000, 4_000_000_000)[how % 2])
    values = {
        "user.plain": b"value",
        "user.binary": b"\0\n=\xff" + bytes([how % 7]),
        "user.empty": b"",
        "user.long": b"v" * 2000,
        "security.capability": capability(0x2000 << how % 3),
        "security.other": b"kept",
        _ACCESS: acl(user, named, group, (mask, 7, 0xFFFFFFFF), other),
        _DEFAULT: acl(user, group, (0x08, 4, 5), (mask, 5, 0xFFFFFFFF), other),
    }
    name = sorted(values)[how % len(values)]
    os.setxattr(old.link, name, values[name], follow_symlinks=False)


def _no_attribute(old: _Place, _: _Place, how: int) -> None:
    names = os.listxattr(old.link, follow_symlinks=False)
    if names:
        os.removexattr(old.link, names[how % len(names)], follow_symlinks=False)


def _deep(_: _Place, new: _Place, how: int) -> None:
    _clear(new, how)
    levels = DEEP_LEVELS if how % 4 == 0 else 3
    os.mkdir(new.name, dir_fd=new.folder)
    handle = os.open(new.name, _FOLDER, dir_fd=new.folder)
    try:
        for _level in range(levels):
            os.mkdir(DEEP_NAME, dir_fd=handle)
            inner = os.open(DEEP_NAME, _FOLDER, dir_fd=handle)
            os.close(handle)
            handle = inner
        _write(_Place(handle, b"bottom"), CONTENTS[how % len(CONTENTS)], os.O_CREAT)
    finally:
        os.close(handle)


def _empty(old: _Place, _: _Place, how: int) -> None:
    """All that a directory holds goes; it stays, and sometimes gets something new."""
    if stat.S_ISDIR(old.mode) and how % 3 == 0:
        inner = os.open(old.name, _FOLDER, dir_fd=old.folder)
        try:
            for name in os.listdir(inner):
                _remove(_Place(inner, os.fsencode(name)))
            if how % 2:
                _write(_Place(inner, NAMES[how % len(NAMES)]), b"new", os.O_CREAT)
        finally:
            os.close(inner)


class _Open:
    """An open file, closed by ``close``."""

    def __init__(self, place: _Place, flags: int) -> None:
        self.handle = os.open(place.name, flags | os.O_NOFOLLOW, 0o644, dir_fd=place.folder)

    def close(self) -> None:
        os.close(self.handle)


def _write(place: _Place, content: bytes, flags: int) -> None:
    with contextlib.closing(_Open(place, os.O_WRONLY | flags)) as file:
        os.write(file.handle, content)


_EDITS: tuple[Callable[[_Place, _Place, int], None], ...] = (
    *(_directory, _file, _symlink, _special, _hardlink, _hardlink, _delete, _move, _copy),
    *(_content, _hole, _mode, _owner, _time, _attribute, _attribute, _no_attribute, _deep, _empty),
    *(_directory, _directory, _file, _file, _hardlink, _socket),
)
