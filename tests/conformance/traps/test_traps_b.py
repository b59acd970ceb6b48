"""Paths and security."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastlayer.errors import FastlayerError, RawLayerError

from tests.support.canary import Canary, make_canary
from tests.support.command import Command
from tests.support.file_system import loop_file_system
from tests.support.layers import Layers
from tests.support.requirements import need_program
from tests.support.tar_blocks import (
    CHAR,
    FIFO,
    directory,
    extended,
    file,
    hardlink,
    header,
    symlink,
)
from tests.support.user_with_ids import ordinary_user


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return make_canary(tmp_path / "canary")


def lay_out(layers: Layers, chain: list[str], folder: Path) -> Path:
    """Write a chain both ways; gives the plain files."""
    layers.store.checkout(chain)
    return layers.written(chain, folder)


@pytest.mark.parametrize("name", [b"../up", b"a/../../up", b"..", b"a/..", b"/../up"])
def test_b1_names_with_dots_are_refused(name: bytes, layers: Layers) -> None:
    for member in (file(name), directory(name), symlink(name, b"x"), extended({b"path": name})):
        reason = layers.raw(file(b"f"), member, file(b"cut"))
        assert "unsafe path" in reason or ".." in reason
    info = layers.take(file(name) + bytes(1024))
    with pytest.raises(RawLayerError, match="raw"):
        layers.store.checkout([info.diff_id])


def test_b1_absolute_names_and_links_are_those_of_the_root(
    layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    outside = os.fsencode(canary.path / "secret")
    diff_id = layers.add(
        file(outside, b"inside"),
        symlink(b"/link", outside),
        hardlink(b"/hard", outside),
    )
    assert layers.store.read([diff_id], b"link") == b"inside"
    assert layers.store.read([diff_id], b"hard") == b"inside"
    written = lay_out(layers, [diff_id], tmp_path / "written")
    assert (written / "hard").read_bytes() == b"inside"
    canary.assert_untouched()


@pytest.mark.parametrize("same", [True, False], ids=["B2-same-layer", "B2-lower-layer"])
def test_b2_links_on_the_way_stay_inside(
    same: bool, layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    outside = os.fsencode(canary.path)
    up = b"../" * 20
    links = [symlink(b"abs", outside), symlink(b"rel", up + outside[1:]), symlink(b"root", b"/")]
    attack = [
        file(b"abs/secret", b"overwritten"),
        file(b"rel/passwd", b"overwritten"),
        directory(b"abs/shared", mode=0o777, uid=1000),
        file(b"abs/.wh.link"),
        file(b"abs/shared/.wh..wh..opq"),
        hardlink(b"taken", b"abs/secret"),
        file(b"root/etc/hosts", b"inside"),
    ]
    groups = [[*links, *attack]] if same else [links, attack]
    chain = [layers.add(*group) for group in groups]
    written = lay_out(layers, chain, tmp_path / "written")
    canary.assert_untouched()
    assert (written / "etc" / "hosts").read_bytes() == b"inside"
    assert (written / "taken").read_bytes() == b"overwritten"
    inside = written / str(canary.path).lstrip("/")
    assert (inside / "passwd").read_bytes() == b"overwritten"


@pytest.mark.parametrize("name", [b"./", b"/", b".", b"/."])
def test_b3_the_root_stays_a_directory(
    name: bytes, layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    outside = os.fsencode(canary.path)
    root_link = layers.add(symlink(name, outside), file(b"secret", b"inside"))
    lower = layers.add(directory(b"./"), file(b"x"))
    written = lay_out(layers, [lower, root_link], tmp_path / "written")
    assert (written / "secret").read_bytes() == b"inside"
    assert not written.is_symlink()
    canary.assert_untouched()


@pytest.mark.parametrize("target", [b"../../secret", b"a/../../secret", b"..", b"/../secret"])
def test_b4_hard_links_that_lead_upwards_are_refused(target: bytes, layers: Layers) -> None:
    assert ".." in layers.raw(hardlink(b"h", target))
    assert ".." in layers.raw(extended({b"linkpath": target}), hardlink(b"h", b"cut"))


def test_b4_a_hard_link_to_what_the_root_lacks_is_never_the_hosts(
    layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    outside = os.fsencode(canary.path / "secret")
    diff_id = layers.add(hardlink(b"stolen", outside), file(b"f"))
    for use in (layers.store.checkout, layers.store.tree_id):
        with pytest.raises(FastlayerError, match="stolen"):
            use([diff_id])
    with pytest.raises(FastlayerError, match="stolen"):
        layers.written([diff_id], tmp_path / "written")
    canary.assert_untouched()


def test_b5_modes_owners_and_times_never_go_through_a_link(
    layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    outside = os.fsencode(canary.path)
    targets = (b"secret", b"shared", b"pipe")
    members = []
    for name in targets:
        link = header(name, b"2", link=outside + b"/" + name, mode=0o4777, uid=1000, mtime=5)
        again = header(b"again-" + name, b"1", link=name, mode=0o4777, uid=1000, mtime=6)
        members += [extended({b"SCHILY.xattr.trusted.x": b"y"}), link, again]
    chain = [layers.add(*members)]
    written = lay_out(layers, chain, tmp_path / "written")
    assert (written / "secret").is_symlink()
    assert (written / "secret").lstat().st_uid == 1000
    lay_out(layers, [*chain, layers.add(directory(b"shared", mode=0o777))], tmp_path / "second")
    canary.assert_untouched()
    # Plain files over a folder in which somebody has planted links.
    layers.store.write_tree([layers.add(directory(b"shared"), file(b"secret"))], str(written))
    assert not (written / "shared").is_symlink()
    canary.assert_untouched()


def test_b6_a_hard_link_to_a_symbolic_link_is_one(layers: Layers, tmp_path: Path) -> None:
    diff_id = layers.add(symlink(b"a", b"nowhere"), hardlink(b"b", b"a"))
    written = layers.written([diff_id], tmp_path / "written")
    assert os.readlink(written / "b") == "nowhere"
    assert (written / "a").lstat().st_ino == (written / "b").lstat().st_ino
    [lower] = layers.store.checkout([diff_id]).directories
    assert os.readlink(Path(lower) / "b") == "nowhere"


@pytest.mark.parametrize("name", [b".wh.", b"d/.wh.", b".wh..", b".wh...", b"d/.wh..", b"d/.wh..."])
def test_b7_whiteouts_without_a_name_are_refused(name: bytes, layers: Layers) -> None:
    assert layers.raw(directory(b"d"), file(name))


def test_b8_nobody_else_gets_at_the_files_of_a_store(layers: Layers) -> None:
    layers.store.checkout([layers.add(file(b"su", b"x" * 9000, mode=0o4755))])
    root = layers.store.root
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert all(not path.stat().st_mode & 0o077 for path in root.iterdir() if path.is_dir())


def test_b9_index_and_tar_are_one_view(layers: Layers) -> None:
    hidden = file(b"hidden", b"not a member")
    tar = [
        extended({b"size": b"%d" % len(hidden)}) + header(b"outer") + hidden,
        extended({b"linkpath": b"a\n20 path=smuggled\n"}) + symlink(b"l", b"cut"),
        file(b"f", b"1"),
        file(b"f", b"2"),
    ]
    diff_id = layers.add(*tar)
    entries = layers.entries(diff_id)
    assert entries == ["f", "l", "outer"]
    indexes = [path for path in layers.store.root.rglob("*") if path.suffix == ".index"]
    for path in indexes or (layers.store.root / "indexes").rglob("*"):
        path.unlink()
    assert layers.entries(diff_id) == entries
    assert layers.store.read([diff_id], b"f") == b"2"
    assert layers.store.fsck() == []


@pytest.mark.parametrize("ranges", [False, True], ids=["one id", "a range of ids"])
def test_b10_devices_stay_in_the_layer_where_they_cannot_be_made(ranges: bool) -> None:
    tar = header(b"null", CHAR, device=(1, 3)) + header(b"pipe", FIFO) + file(b"f") + bytes(1024)
    with ordinary_user(ranges=ranges) as user:
        (user.home / "tar").write_bytes(tar)
        store = str(user.home / "store")
        for words in (
            ["import", "tar", "odd"],
            ["cp", "odd:/.", "copied"],
        ):
            done = user.fastlayer("--root", store, *words)
            assert done.returncode == 0, done.stdout
        copied = user.home / "copied"
        assert sorted(os.listdir(copied)) == ["f", "pipe"]
        assert stat.S_ISFIFO((copied / "pipe").stat().st_mode)
        assert "c" in user.fastlayer("--root", store, "ls", "-l", "odd:/").stdout


def test_b11_paths_longer_than_the_kernel_takes(
    layers: Layers, command: Command, tmp_path: Path
) -> None:
    deep = b"/".join([b"x" * 250] * 30)
    diff_id = layers.add(file(deep, b"content"))
    assert layers.store.read([diff_id], deep) == b"content"
    lay_out(layers, [diff_id], tmp_path / "written")
    command.run("import", "-", "deep", stdin=layers.tar(diff_id))
    command.run("cp", "deep:/.", tmp_path / "copied")
    for folder in ("written", "copied"):
        assert sizes_below(tmp_path / folder) == b"7"


def test_b11_a_name_that_no_file_system_takes_is_an_error(layers: Layers, tmp_path: Path) -> None:
    name = b"n" * 256
    diff_id = layers.add(file(name))
    assert layers.store.read([diff_id], name) == b""
    with pytest.raises(FastlayerError, match="File name too long"):
        layers.store.checkout([diff_id])
    with pytest.raises(FastlayerError, match="File name too long"):
        layers.written([diff_id], tmp_path / "written")


@pytest.mark.long
def test_b11_the_deepest_paths(layers: Layers, command: Command, tmp_path: Path) -> None:
    diff_id = layers.add(file(b"d/" * 1200 + b"f", b"content"))
    try:
        with few_files():
            lay_out(layers, [diff_id], tmp_path / "written")
            command.run("import", "-", "deep", stdin=layers.tar(diff_id))
            command.run("cp", "deep:/.", tmp_path / "copied")
            assert b"d/f" in command.run("cp", "deep:/.", "-").stdout
        for folder in ("written", "copied"):
            assert sizes_below(tmp_path / folder) == b"7"
    finally:  # too deep for pytest to remove
        subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


@contextlib.contextmanager
def few_files() -> Iterator[None]:
    """No more open files than a process has as a rule."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def sizes_below(folder: Path) -> bytes:
    return subprocess.run(
        [need_program("find"), ".", "-type", "f", "-printf", "%s"],
        cwd=folder,
        check=True,
        capture_output=True,
    ).stdout


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_b12_names_that_the_file_system_takes_for_one(
    kind: str, layers: Layers, tmp_path: Path
) -> None:
    member = file if kind == "file" else directory
    diff_id = layers.add(member(b"Name"), member(b"d"), member(b"name"))
    with loop_file_system(tmp_path, "exfat", size=32 << 20) as system:
        target = system.mount / "target"
        target.mkdir()
        with pytest.raises(FastlayerError, match="one name on this file system"):
            layers.store.write_tree([diff_id], str(target))
        (target / "other").mkdir()
        layers.store.write_tree([layers.add(member(b"Name"))], str(target / "other"))
        layers.store.write_tree([layers.add(member(b"Name"))], str(target / "other"))
        assert os.listdir(target / "other") == ["Name"]
