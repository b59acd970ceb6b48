"""What counts as a change."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastlayer.store import Context, CopyOperation, CopySource

from tests.support.base import write_rootfs_tar
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.overlay_mount import overlay_mount
from tests.support.requirements import need_root
from tests.support.tar_blocks import EPOCH, directory, extended, file, symlink

Change = Callable[[Path], object]


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    need_root()
    yield


def base_of(layers: Layers) -> str:
    """A layer with one path of each kind, a file of some kilobytes among them."""
    return layers.add(
        directory(b"d"),
        file(b"d/f", b"x" * 5000),
        extended({b"SCHILY.xattr.user.old": b"1"}) + file(b"small", b"s"),
        symlink(b"l", b"f1"),
    )


def changed(layers: Layers, base: str, folder: Path, change: Change) -> str:
    """The layer of a change in a mount."""
    with overlay_mount(layers.store, [base], folder) as mount:
        change(mount.merged)
    return layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id


def set_back(place: Path) -> None:
    """Give a path the time that the base has."""
    os.utime(place, (EPOCH, EPOCH), follow_symlinks=False)


def rewrite(root: Path) -> None:
    (root / "d" / "f").write_bytes(b"y" * 5000)
    set_back(root / "d" / "f")
    set_back(root / "d")


def relink(root: Path) -> None:
    (root / "l").unlink()
    (root / "l").symlink_to("f2")
    set_back(root / "l")


@pytest.mark.parametrize(("change", "path"), [(rewrite, "d/f"), (relink, "l")])
def test_d1_same_size_and_time_but_another_content(
    change: Change, path: str, layers: Layers, tmp_path: Path
) -> None:
    base = base_of(layers)
    top = changed(layers, base, tmp_path / "mount", change)
    assert path in layers.entries(top)
    before, after = (layers.entry(chain, path.encode()) for chain in ([base], [base, top]))
    assert (before.content, before.link) != (after.content, after.link)
    [reasons] = [c.reasons for c in layers.store.compare([base], [base, top]) if c.kind == "C"]
    assert set(reasons) <= {"content", "link"}


def test_d2_fractions_of_seconds_never_hide_a_change(layers: Layers, tmp_path: Path) -> None:
    fine = extended({b"mtime": b"1700000000.5"})
    base = layers.add(fine, file(b"whole", b"a" * 9), file(b"fine", b"a" * 9))

    def change(root: Path) -> None:
        for name in ("whole", "fine"):
            (root / name).write_bytes(b"b" * 9)
            set_back(root / name)

    top = changed(layers, base, tmp_path / "mount", change)
    assert layers.entries(top) == ["fine", "whole"]


ACL = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff"
ACL += b"\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff"
CAPABILITY = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
METADATA: dict[str, Change] = {
    "mode": lambda place: place.chmod(0o2711),
    "owner": lambda place: os.chown(place, 1000, 0),
    "group": lambda place: os.chown(place, 0, 4_000_000_000),
    "attribute": lambda place: os.setxattr(place, "user.new", b"2"),
    "acl": lambda place: os.setxattr(place, "system.posix_acl_access", ACL),
    "time": lambda place: os.utime(place, (EPOCH, EPOCH + 1)),
}


@pytest.mark.parametrize("name", METADATA, ids="D3-{}".format)
@pytest.mark.parametrize("path", ["d", "small"])
def test_d3_metadata_alone_is_a_change(
    name: str, path: str, layers: Layers, tmp_path: Path
) -> None:
    base = base_of(layers)

    def change(root: Path) -> None:
        METADATA[name](root / path)
        if name != "time":
            set_back(root / path)

    top = changed(layers, base, tmp_path / "mount", change)
    assert layers.entries(top) == ["d/" if path == "d" else "small"]
    entry = layers.entry([base, top], path.encode())
    before = layers.entry([base], path.encode())
    assert entry != before
    if name == "acl":
        assert entry.xattrs[b"system.posix_acl_access"] == ACL


def test_d3_capabilities_and_removed_attributes(layers: Layers, tmp_path: Path) -> None:
    base = base_of(layers)

    def change(root: Path) -> None:
        os.setxattr(root / "d" / "f", "security.capability", CAPABILITY)
        os.removexattr(root / "small", "user.old")

    top = changed(layers, base, tmp_path / "mount", change)
    assert layers.entries(top) == ["d/", "d/f", "small"]
    assert layers.entry([base, top], b"d/f").xattrs == {b"security.capability": CAPABILITY}
    assert layers.entry([base, top], b"small").xattrs == {}


def test_d4_what_was_copied_up_and_is_the_same_is_no_change(layers: Layers, tmp_path: Path) -> None:
    base = base_of(layers)

    def change(root: Path) -> None:
        for path in ("d/f", "small"):
            with (root / path).open("r+b") as opened:
                first = opened.read(1)
                opened.seek(0)
                opened.write(first)
            set_back(root / path)

    opened = changed(layers, base, tmp_path / "same", lambda root: (root / "small").open("r+b"))
    assert layers.entries(opened) == []
    rewritten = changed(layers, base, tmp_path / "rewritten", change)
    assert layers.entries(rewritten) == []
    touched = changed(layers, base, tmp_path / "touched", lambda root: (root / "small").touch())
    assert layers.entries(touched) == ["small"]


def test_d5_times_of_directories_are_set_after_what_they_hold(
    layers: Layers, tmp_path: Path
) -> None:
    times = {b"a": 1_000_000_001, b"a/b": 1_000_000_002, b"a/b/c": 1_000_000_003}
    members = [directory(path, mtime=time) for path, time in times.items()]
    base = layers.add(*members, file(b"a/b/c/f"), file(b"a/b/g"))
    written = layers.written([base], tmp_path / "written")
    for path, wanted in times.items():
        assert int((written / path.decode()).stat().st_mtime) == wanted
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        for path, wanted in times.items():
            assert int((mount.merged / path.decode()).stat().st_mtime) == wanted


def test_d6_parents_of_a_change_come_as_they_are(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(directory(b"p", mode=0o1750, uid=7), directory(b"p/q", mode=0o700, uid=8))
    top = changed(layers, base, tmp_path / "mount", lambda root: (root / "p/q/new").touch())
    assert layers.entries(top) == ["p/", "p/q/", "p/q/new"]
    own = {entry.path: (entry.mode, entry.uid) for entry in layers.store.layer_entries(top)}
    assert own[b"p"] == (0o1750, 7)
    assert own[b"p/q"] == (0o700, 8)


def test_d7_a_context_is_known_by_content_and_mode(layers: Layers, tmp_path: Path) -> None:
    context, cache = tmp_path / "context", str(tmp_path / "cache")
    (context / "d").mkdir(parents=True)
    (context / "d" / "f").write_bytes(b"one")
    set_back(context / "d" / "f")

    def key() -> str:
        opened = Context(str(context), cache=cache)
        found = layers.store.copy_key(CopyOperation([CopySource.context(opened, b".")], b"/x/"))
        opened.save()
        return found

    first = key()
    assert key() == first
    (context / "d" / "f").write_bytes(b"two")
    set_back(context / "d" / "f")
    second = key()
    assert second != first
    (context / "d").chmod(0o700)
    assert key() != second


def test_d8_and_d10_old_times_and_late_writers(tmp_path: Path) -> None:
    command = Command(tmp_path / "store")
    command.run("import", write_rootfs_tar(tmp_path / "base.tar"), "base")
    script = (
        "touch -d '1971-01-01 00:00:00' /old; cp -p /etc/passwd /same-time; "
        "(while true; do date >> /growing; done) & sleep 0.2"
    )
    dockerfile = f"FROM base\nRUN {script}\nRUN wc -c < /growing > /length\n"
    command.run("build", "-t", "late", "-f", "-", tmp_path, stdin=dockerfile.encode())
    names = command.text("ls", "late:/").splitlines()
    assert {"old", "same-time", "growing"} <= set(names)
    length = int(command.text("cat", "late:/length"))
    assert length == len(command.run("cat", "late:/growing").stdout)
    time.sleep(0.1)
    assert not [line for line in processes() if "date >> /growing" in line]


def processes() -> list[str]:
    done = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_d9_sockets_are_left_out_and_pipes_stay(layers: Layers, tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        os.mkfifo(root / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.open(root, os.O_PATH)
            listener.bind(f"/proc/self/fd/{here}/socket")
            os.close(here)

    top = changed(layers, base_of(layers), tmp_path / "mount", fill)
    assert layers.entries(top) == ["pipe"]
    context = tmp_path / "context"
    context.mkdir()
    fill(context)
    operation = CopyOperation([CopySource.context(Context(str(context)), b".")], b"/")
    copied = layers.store.copy_layer([], operation).diff_id
    assert layers.entries(copied) == ["pipe"]
    assert layers.entry([copied], b"pipe").kind == "fifo"


@pytest.mark.parametrize(("seconds", "floor"), [(-0.5, -1), (0.999, 0), (-10.25, -11), (5.5, 5)])
def test_d11_times_are_rounded_down(
    seconds: float, floor: int, layers: Layers, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").touch()
    nanoseconds = int(seconds * 1_000_000_000)
    os.utime(context / "f", ns=(nanoseconds, nanoseconds))
    operation = CopyOperation([CopySource.context(Context(str(context)), b"f")], b"/f")
    diff_id = layers.store.copy_layer([], operation).diff_id
    assert layers.entry([diff_id], b"f").mtime == (floor, 0)
    from_tar = layers.add(extended({b"mtime": b"%.3f" % seconds}) + file(b"f"))
    squashed = layers.store.squash_layers([], [from_tar]).diff_id
    assert layers.entry([squashed], b"f").mtime == (floor, 0)


def test_d12_another_file_with_the_number_of_the_old_one(layers: Layers, tmp_path: Path) -> None:
    context, cache = tmp_path / "context", str(tmp_path / "cache")
    context.mkdir()
    place = context / "f"

    def key() -> str:
        opened = Context(str(context), cache=cache)
        found = layers.store.copy_key(CopyOperation([CopySource.context(opened, b"f")], b"/f"))
        opened.save()
        return found

    keys = set()
    for content in (b"1", b"2", b"3"):
        place.unlink(missing_ok=True)
        place.write_bytes(content)
        set_back(place)
        keys.add(key())
    assert len(keys) == 3
