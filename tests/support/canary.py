"""A tree outside every root that must not change, whatever hostile input is given.

A snapshot has all that a process can change of a file: type, mode, owner, size, content, link,
attributes, times of content and of the inode, number of links.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Snapshot = dict[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Canary:
    """The tree, and how it was."""

    path: Path
    before: Snapshot

    def assert_untouched(self) -> None:
        """Nothing of it was changed, linked, added or removed."""
        after = snapshot(self.path)
        for name in sorted(set(self.before) | set(after)):
            assert after.get(name) == self.before.get(name), f"canary: {name or '.'} changed"


def make_canary(folder: Path) -> Canary:
    """A new tree of files of each kind, with modes that an attack would change."""
    folder.mkdir()
    (folder / "secret").write_text("the host's secret\n")
    (folder / "secret").chmod(0o600)
    (folder / "shared").mkdir(mode=0o711)
    (folder / "shared" / "list").write_text("one\n")
    (folder / "shared" / "empty").mkdir()
    (folder / "link").symlink_to("secret")
    (folder / "passwd").write_text("root:x:0:0\n")
    os.mkfifo(folder / "pipe")
    os.setxattr(folder / "secret", "user.mark", b"kept")
    old = 1_000_000_000
    for place in (*folder.rglob("*"), folder):
        os.utime(place, (old, old), follow_symlinks=False)
    return Canary(folder, snapshot(folder))


def snapshot(folder: Path) -> Snapshot:
    """What is there now, by relative path."""
    return {str(place.relative_to(folder)): _fields(place) for place in _places(folder)}


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(folder.rglob("*"))


def _fields(place: Path) -> tuple[object, ...]:
    status = place.lstat()
    content: object = None
    if place.is_symlink():
        content = os.readlink(place)
    elif place.is_file():
        content = place.read_bytes()
    names = os.listxattr(place, follow_symlinks=False)
    attributes = tuple((name, os.getxattr(place, name, follow_symlinks=False)) for name in names)
    return (
        status.st_mode,
        (status.st_uid, status.st_gid),
        status.st_size,
        status.st_nlink,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_rdev,
        attributes,
        content,
    )
