"""One tree with everything that a layer can carry, and a change of it with every kind of change.

The trees go to other tools too: names and paths are as long as those take, not as long as layers
may have. All of it lies in ``/rich``, so that any base image does.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from tests.support.tree_edit import acl, capability

Edit = Callable[[Path], None]
"""What changes the tree at a root."""
TIME = 1_000_000_000
"""Seconds since 1970."""
_ANY = 0xFFFFFFFF
_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_ODD_NAMES = (
    *(b"\xff\xfe\x80", "ü".encode(), b"line\nbreak", b" blank ", b"-dash", b"back\\slash"),
    *(b"n" * 255, b".hidden", b"wh.not", b"quote'\"", b"%41", b"a:b,c"),
)


def fill(root: Path) -> None:
    """Make the tree below the root of a file system; needs root."""
    rich = root / "rich"
    rich.mkdir()
    for make in (_files, _links, _specials, _names, _attributes, _to_be_changed):
        folder = rich / make.__name__.strip("_")
        folder.mkdir()
        make(folder)
    _set_times(rich)


def change(root: Path) -> None:
    """Change it: deletions, turns of one kind to another, attributes, broken and new links."""
    rich = root / "rich"
    for make in (_replace, _change_links, _change_attributes):
        make(rich)
    (rich / "new").mkdir(mode=0o711)
    (rich / "new" / "file").write_bytes(b"new" * 5000)
    os.utime(rich / "new" / "file", ns=(0, 1_234_567_890_987_654_321))


def _files(folder: Path) -> None:
    for name, size in (
        ("empty", 0),
        ("small", 1),
        ("limit", 4096),
        ("above", 4097),
        ("big", 70_000),
    ):
        (folder / name).write_bytes(bytes(range(1, 256)) * (size // 255) + b"e" * (size % 255))
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 20)
        os.pwrite(file.fileno(), b"middle", 600_000)
    for mode in (0o4755, 0o2755, 0o1755, 0o6711, 0o000, 0o777):
        (folder / f"mode-{mode:o}").write_text("mode")
        os.chmod(folder / f"mode-{mode:o}", mode)
    for number, (uid, gid) in enumerate(((1000, 1001), (65534, 5), (4_000_000_000,) * 2)):
        (folder / f"owner-{number}").write_text("owner")
        os.chown(folder / f"owner-{number}", uid, gid)
    (folder / "sticky").mkdir()
    os.chmod(folder / "sticky", 0o3777)
    os.chown(folder / "sticky", 7, 8)


def _links(folder: Path) -> None:
    for link, target in (
        *((b"relative", b"../files/small"), (b"absolute", b"/rich/files/big")),
        *((b"nowhere", b"no/such/thing"), (b"long", b"t" * 300), (b"odd", b"\xff/\xfe")),
    ):
        os.symlink(target, os.fsencode(folder) + b"/" + link)
    os.chown(folder / "relative", 4_000_000_000, 9, follow_symlinks=False)
    (folder / "sub").mkdir()
    for name in ("first", "touched", "changed", "replaced"):
        (folder / name).write_bytes(name.encode() * 1000)
        os.link(folder / name, folder / "sub" / name)
        os.link(folder / name, folder / f"{name}-again")
    (folder / "target").mkdir()
    (folder / "target" / "below").write_text("deleted through the link")
    (folder / "through").symlink_to("target")


def _specials(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o622)
    for name, kind, device in (
        *(("null", stat.S_IFCHR, (1, 3)), ("disk", stat.S_IFBLK, (7, 9))),
        ("large", stat.S_IFCHR, (511, 70_000)),
    ):
        os.mknod(folder / name, kind | 0o640, os.makedev(*device))
        os.chown(folder / name, 0, 6)


def _names(folder: Path) -> None:
    above = os.fsencode(folder)
    for name in _ODD_NAMES:
        with open(above + b"/" + name, "wb") as file:
            file.write(name)
    for _ in range(6):
        above += b"/" + b"long" * 50
        os.mkdir(above)
    with open(above + b"/bottom", "wb") as file:
        file.write(b"bottom")
    os.link(above + b"/bottom", above + b"/bottom-linked")


def _attributes(folder: Path) -> None:
    for name in ("user", "capability", "acl", "losing", "both"):
        (folder / name).write_text(name)
    (folder / "default").mkdir()
    for name in ("user", "losing", "default", "both"):
        os.setxattr(folder / name, "user.note", b"\0binary\n=\xff")
    for name in ("capability", "losing", "both"):
        os.setxattr(folder / name, "security.capability", capability(0x2000))
    entries = ((1, 7, _ANY), (2, 6, 1000), (4, 5, _ANY), (8, 4, 70), (16, 7, _ANY), (32, 1, _ANY))
    for name in ("acl", "default"):
        os.setxattr(folder / name, _ACCESS, acl(*entries))
    os.setxattr(folder / "default", _DEFAULT, acl(*entries))


def _to_be_changed(folder: Path) -> None:
    for name in ("gone", "again", "to-file", "to-link", "moved", "emptied", "kept"):
        (folder / name / "inner").mkdir(parents=True)
        (folder / name / "inner" / "file").write_text(name)
        (folder / name / "file").write_bytes(name.encode() * 2000)
    for name in ("to-directory", "to-pipe", "gone-file", "same", "rewritten"):
        (folder / name).write_text(name)
    (folder / "link-to-directory").symlink_to("kept")
    os.mkfifo(folder / "pipe-to-file")


def _replace(rich: Path) -> None:
    folder = rich / "to_be_changed"
    for name in ("gone", "again", "to-file", "to-link"):
        shutil.rmtree(folder / name)
    for name in ("to-directory", "to-pipe", "gone-file", "link-to-directory", "pipe-to-file"):
        (folder / name).unlink()
    (folder / "again").mkdir(mode=0o750)
    (folder / "again" / "other").write_text("again")
    (folder / "to-file").write_text("a file now")
    (folder / "to-link").symlink_to("kept")
    for name in ("to-directory", "link-to-directory"):
        (folder / name / "file").mkdir(parents=True)
    os.mkfifo(folder / "to-pipe")
    (folder / "pipe-to-file").write_text("file")
    shutil.copytree(folder / "moved", folder / "moved-here", symlinks=True)
    shutil.rmtree(folder / "moved")
    shutil.rmtree(folder / "emptied" / "inner")
    (folder / "emptied" / "file").unlink()
    (folder / "rewritten").write_text("REWRITTEN")
    os.utime(folder / "rewritten", ns=(0, TIME * 10**9))
    (folder / "same").open("r+b").close()
    (rich / "links" / "through" / "below").unlink()
    for name in ("disk", "pipe"):
        (rich / "specials" / name).unlink()
    shutil.rmtree(rich / "names" / ("long" * 50) / ("long" * 50) / ("long" * 50))


def _change_links(rich: Path) -> None:
    folder = rich / "links"
    os.chmod(folder / "first", 0o600)
    (folder / "touched").open("r+b").close()
    with (folder / "changed").open("r+b") as file:
        file.write(b"C")
    (folder / "replaced").unlink()
    (folder / "replaced").write_text("another file")
    os.link(folder / "sub" / "replaced", rich / "replaced-linked")
    os.link(rich / "specials" / "null", rich / "specials" / "null-linked")
    os.link(folder / "odd", folder / "odd-linked", follow_symlinks=False)


def _change_attributes(rich: Path) -> None:
    folder = rich / "attributes"
    os.removexattr(folder / "losing", "user.note")
    os.chown(folder / "losing", 5, 5)
    os.setxattr(folder / "both", "user.note", b"other")
    os.setxattr(folder / "capability", "security.capability", capability(0x400))
    entries = ((1, 6, _ANY), (4, 4, _ANY), (8, 4, 4_000_000_000), (16, 4, _ANY), (32, 0, _ANY))
    os.setxattr(folder / "acl", _ACCESS, acl(*entries))
    os.removexattr(folder / "default", _DEFAULT)
    os.chmod(rich / "files" / "sticky", 0o755)
    os.chown(rich / "files", 3, 4)
    os.utime(rich / "files" / "small", ns=(0, 500_000_000))


def _set_times(rich: Path) -> None:
    """Times of all kinds: with fractions, the first, later than a signed 32-bit one."""
    seconds = (TIME, 0, 1_700_000_000, 4_000_000_000)
    number = 0
    for above, folders, files in os.walk(os.fsencode(rich), topdown=False):
        for name in sorted(files) + sorted(folders):
            time = seconds[number % len(seconds)] * 10**9 + 999_999_999 * (number % 3 == 0)
            os.utime(above + b"/" + name, ns=(time, time), follow_symlinks=False)
            number += 1
