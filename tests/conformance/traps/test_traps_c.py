"""Whiteouts and overlayfs's format."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from fastlayer.errors import FastlayerError, UnsafePathError
from fastlayer.store import Context, CopyOperation, CopySource, MountNamespace, Store

from tests.support.base import write_rootfs_tar
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.overlay_mount import overlay_mount
from tests.support.requirements import need_root
from tests.support.tar_blocks import directory, extended, file, hardlink, symlink

BASE = (
    directory(b"d"),
    file(b"d/a", b"1"),
    directory(b"d/sub"),
    file(b"d/sub/b", b"2"),
    file(b"f", b"3"),
)
OPAQUE = b"trusted.overlay.opaque"


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()


def both(layers: Layers, folder: Path, *chain: str) -> list[str]:
    """The paths of a chain; the kernel's mount of it must show the same."""
    names = layers.names(*chain)
    with overlay_mount(layers.store, chain, folder) as mount:
        assert sorted(seen(mount.merged)) == sorted(names)
    return names


def seen(root: Path) -> list[str]:
    found = []
    for place in root.rglob("*"):
        slash = "/" if place.is_dir() and not place.is_symlink() else ""
        found.append(f"{place.relative_to(root)}{slash}")
    return found


@pytest.mark.parametrize("whiteout_first", [True, False], ids=["C1-before", "C1-after"])
def test_c1_whiteouts_speak_of_lower_layers_wherever_they_stand(
    whiteout_first: bool, layers: Layers, tmp_path: Path
) -> None:
    base = layers.add(*BASE)
    for number, (marker, entry, expected) in enumerate(
        (
            (file(b".wh.f"), file(b"f", b"new"), ["d/", "d/a", "d/sub/", "d/sub/b", "f"]),
            (file(b"d/.wh..wh..opq"), file(b"d/n"), ["d/", "d/n", "f"]),
            (file(b".wh.d"), file(b"d/n"), ["d/", "d/n", "f"]),
        )
    ):
        members = (marker, entry) if whiteout_first else (entry, marker)
        top = layers.add(*members)
        assert both(layers, tmp_path / str(number), base, top) == expected
    assert layers.store.read([base, layers.add(file(b"f", b"n"), file(b".wh.f"))], b"f") == b"n"


def test_c2_a_directory_that_was_made_again_hides_what_was(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    with overlay_mount(layers.store, [base], tmp_path / "first") as mount:
        subprocess.run(["rm", "-r", mount.merged / "d"], check=True)
        (mount.merged / "d").mkdir()
        (mount.merged / "d" / "new").touch()
    second = layers.store.diff_upper([base], str(mount.upper), adopt=True).diff_id
    third = layers.add(directory(b"d"), file(b"d/more"))
    assert both(layers, tmp_path / "all", base, second, third) == ["d/", "d/more", "d/new", "f"]


def test_c3_an_opaque_directory_shows_no_phantom(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    top = layers.add(directory(b"d"), file(b"d/.wh..wh..opq"), file(b"d/.wh.a"), file(b"d/n"))
    assert both(layers, tmp_path / "mount", base, top) == ["d/", "d/n", "f"]
    [upper, _] = layers.store.checkout([base, top]).directories
    assert os.listdir(Path(upper) / "d") == ["n"]


def test_c4_a_deleted_directory_with_children_is_a_new_one(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    top = layers.add(file(b".wh.d"), file(b"d/n"))
    assert both(layers, tmp_path / "mount", base, top) == ["d/", "d/n", "f"]
    [upper, _] = layers.store.checkout([base, top]).directories
    assert os.getxattr(Path(upper) / "d", OPAQUE) == b"y"


def test_c5_a_type_that_changes_hides_what_was_below(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE, symlink(b"l", b"d"))
    to_file = layers.add(file(b"d", b"now a file"))
    back = layers.add(directory(b"d"))
    assert both(layers, tmp_path / "1", base, to_file) == ["d", "f", "l"]
    assert both(layers, tmp_path / "2", base, to_file, back) == ["d/", "f", "l"]
    from_file = layers.add(directory(b"f"), file(b"f/x"))
    assert both(layers, tmp_path / "3", base, from_file)[-3:] == ["f/", "f/x", "l"]
    from_link = layers.add(directory(b"l"))
    assert both(layers, tmp_path / "4", base, from_link)[-1] == "l/"


def test_c6_an_opaque_directory_keeps_its_entry(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        subprocess.run(["rm", "-r", mount.merged / "d"], check=True)
        (mount.merged / "d").mkdir()
        (mount.merged / "d").chmod(0o1711)
    top = layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id
    assert layers.entry([base, top], b"d").mode == 0o1711
    assert both(layers, tmp_path / "again", base, top) == ["d/", "f"]


@pytest.mark.parametrize("space", [b"trusted", b"user"])
def test_c7_marks_that_a_layer_brings_are_not_honoured(
    space: bytes, layers: Layers, tmp_path: Path
) -> None:
    base = layers.add(*BASE)
    marks = {
        b"SCHILY.xattr." + space + b".overlay." + name: value
        for name, value in ((b"opaque", b"y"), (b"redirect", b"/f"), (b"whiteout", b""))
    }
    top = layers.add(
        extended(marks), directory(b"d"), extended(marks), file(b"f"), extended(marks), file(b"n")
    )
    expected = ["d/", "d/a", "d/sub/", "d/sub/b", "f", "n"]
    assert both(layers, tmp_path / "mount", base, top) == expected


def test_c8_marks_of_overlayfs_are_in_no_layer(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        (mount.merged / "d" / "a").write_bytes(b"changed")
        (mount.merged / "d" / "a").rename(mount.merged / "d" / "moved")
        subprocess.run(["rm", "-r", mount.merged / "d" / "sub"], check=True)
        (mount.merged / "d" / "sub").mkdir()
        os.setxattr(mount.merged / "d" / "moved", "user.own", b"stays")
    assert any("overlay." in name for name in os.listxattr(mount.upper / "d"))
    top = layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id
    tar = layers.tar(top)
    assert b"overlay." not in tar
    assert layers.entry([base, top], b"d/moved").xattrs == {b"user.own": b"stays"}


def test_c9_whiteouts_in_the_form_of_attributes(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "d" / "a").touch()
    os.setxattr(upper / "d" / "a", "trusted.overlay.whiteout", b"")
    os.setxattr(upper / "d", OPAQUE, b"x")
    top = layers.store.diff_upper([base], str(upper), adopt=False).diff_id
    assert both(layers, tmp_path / "mount", base, top) == ["d/", "d/sub/", "d/sub/b", "f"]


@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_c10_an_upper_that_leans_on_its_lower_is_refused(
    mark: str, layers: Layers, tmp_path: Path
) -> None:
    base = layers.add(*BASE)
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    os.setxattr(upper / "d", f"trusted.overlay.{mark}", b"/elsewhere")
    with pytest.raises(FastlayerError, match=mark):
        layers.store.diff_upper([base], str(upper), adopt=False)
    # Our own mounts make none: a directory of the lower is not renamed but copied.
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        with pytest.raises(OSError, match="cross-device") as found:
            (mount.merged / "d").rename(mount.merged / "e")
        assert found.value.errno == errno.EXDEV
        (mount.merged / "f").chmod(0o600)
    assert (mount.upper / "f").read_bytes() == b"3"


def test_c11_whiteouts_are_no_hard_links(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        (mount.merged / "d" / "a").unlink()
        (mount.merged / "f").unlink()
    assert (mount.upper / "f").lstat().st_nlink > 1, "the kernel shares whiteouts"
    top = layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id
    assert layers.entries(top) == ["d/", "-d/a", "-f"]
    assert all(not entry.hardlink for entry in layers.store.layer_entries(top))


def test_c12_a_whiteout_of_nothing_is_not_written(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    upper = tmp_path / "upper"
    upper.mkdir()
    os.mknod(upper / "never", 0o020000, 0)
    assert layers.store.diff_upper([base], str(upper), adopt=False).entries == 0


def test_c13_a_copied_up_file_is_linked_no_more(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(file(b"f", b"content" * 2000), hardlink(b"g", b"f"))
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        (mount.merged / "f").chmod(0o600)
        assert (mount.merged / "f").stat().st_ino != (mount.merged / "g").stat().st_ino
    top = layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id
    assert layers.entries(top) == ["f"]
    tree = layers.written([base, top], tmp_path / "written")
    assert (tree / "f").stat().st_ino != (tree / "g").stat().st_ino
    assert ((tree / "f").stat().st_mode, (tree / "g").stat().st_mode) == (0o100600, 0o100644)
    assert both(layers, tmp_path / "again", base, top) == ["f", "g"]


def test_c14_a_directory_moved_by_copy_is_whole(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(*BASE)
    with overlay_mount(layers.store, [base], tmp_path / "mount") as mount:
        subprocess.run(["mv", mount.merged / "d", mount.merged / "moved"], check=True)
    top = layers.store.diff_upper([base], str(mount.upper), adopt=False).diff_id
    expected = ["f", "moved/", "moved/a", "moved/sub/", "moved/sub/b"]
    assert both(layers, tmp_path / "again", base, top) == expected


@pytest.mark.parametrize("name", [".wh.f", ".wh..wh..opq", ".wh..wh.plnk"])
def test_c15_a_file_that_would_mean_a_deletion_is_refused_by_name(
    name: str, layers: Layers, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / name).touch()
    operation = CopyOperation([CopySource.context(Context(str(context)), b".")], b"/")
    with pytest.raises(UnsafePathError, match=name):
        layers.store.copy_layer([], operation)
    with pytest.raises(UnsafePathError, match=name):
        layers.store.diff_upper([], str(context), adopt=False)


def test_c16_many_layers_and_odd_places(tmp_path: Path) -> None:
    folder = tmp_path / "a:b,c\\d e"
    command = Command(folder / "store")
    command.run("import", write_rootfs_tar(tmp_path / "base.tar"), "base")
    command.run("build", "-t", "odd", "-f", "-", tmp_path, stdin=b"FROM base\nRUN date > /made\n")
    assert command.text("cat", "odd:/made")
    layers = Layers(Store(folder / "store"))
    chain = [layers.add(file(b"f%d" % number, b"x" * 5000)) for number in range(100)]
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir()
    namespace = MountNamespace()
    try:
        merged = str(folder / "merged")
        namespace.mount_overlay(
            *layers.store.checkout(chain),
            (str(folder / "upper"), str(folder / "work")),
            merged,
            volatile=False,
        )
        argv = [b"/bin/sh", b"-c", b"ls | wc -l > count"]
        with open(os.devnull, "r+b") as null:
            streams = {"stdin": null.fileno(), "stdout": null.fileno(), "stderr": null.fileno()}
            child = namespace.spawn(argv, env=[b"PATH=/bin:/usr/bin"], cwd=merged, **streams)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        namespace.close()
    assert (folder / "upper" / "count").read_text().strip() in {"100", "101"}
