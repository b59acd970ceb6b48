"""Checking and repairing a store: the levels of fsck, and that damage does not outlive a load."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.integration.building import Workshop
from tests.support.command import Command

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def fastlayer(workshop: Workshop) -> Command:
    """A store with one image of its own, which nothing but its name needs."""
    workshop.write({"file": CONTENT})
    workshop.build("FROM busybox\nCOPY file /file\n", tags="made")
    return workshop.command()


def files(root: Path, place: str) -> list[Path]:
    return sorted(path for path in (root / place).rglob("*") if path.is_file())


def object_of(root: Path, content: bytes) -> Path:
    (found,) = (path for path in files(root, "objects") if path.read_bytes() == content)
    return found


def overwrite(path: Path, data: bytes) -> None:
    """Other bytes in the same inode, as a failing disk gives them."""
    path.chmod(0o600)
    path.write_bytes(data)


def overwrite_all(paths: Sequence[Path], data: Callable[[Path], bytes]) -> None:
    """:func:`overwrite` for several files."""
    for path in paths:
        overwrite(path, data(path))


def check(fastlayer: Command, level: int) -> list[str]:
    done = fastlayer.run("fsck", "--level", str(level), check=False)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == (0 if lines == ["no problems found"] else 1)
    return [line.split(" ")[0] for line in lines if lines != ["no problems found"]]


def test_each_level_finds_its_kind_of_damage(fastlayer: Command) -> None:
    assert check(fastlayer, 4) == []
    for tree in files(fastlayer.root, "trees"):
        overwrite(tree, tree.read_bytes()[:-1] + b"?")
    assert check(fastlayer, 2) == []
    assert set(check(fastlayer, 3)) == {"tree"}
    target = object_of(fastlayer.root, CONTENT)
    overwrite(target, CONTENT[:-1] + b"?")
    assert check(fastlayer, 1) == []
    assert "object" in check(fastlayer, 2)
    target.unlink()
    assert check(fastlayer, 1) == ["recipe"]


def test_a_level_that_is_none_and_one_for_a_repair_are_refused(fastlayer: Command) -> None:
    for words in (("--level", "5"), ("--level", "2", "--repair")):
        assert fastlayer.run("fsck", *words, check=False).returncode == 125


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: overwrite(object_of(root, CONTENT), CONTENT[:-1] + b"?"),
        lambda root: overwrite(object_of(root, CONTENT), b""),
        lambda root: object_of(root, CONTENT).unlink(),
        lambda root: overwrite_all(files(root, "recipes"), lambda _: b""),
        lambda root: overwrite_all(files(root, "recipes"), lambda path: path.read_bytes()[:-9]),
        lambda root: overwrite_all(files(root, "segments"), lambda _: b"no segment"),
        lambda root: overwrite_all(files(root, "blobs"), lambda _: b"{}"),
    ],
    ids=["bits", "empty", "missing", "recipe", "cut-recipe", "segments", "blobs"],
)
def test_g3_no_damage_outlives_that_an_image_is_loaded_again(
    fastlayer: Command, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """containerd#934, #14164: a damaged layer that was committed survived rmi and another pull."""
    saved = tmp_path / "saved.tar"
    fastlayer.run("save", "--compression", "gzip", "-o", saved, "made")
    fastlayer.run("rmi", "made", "busybox")
    damage(fastlayer.root)
    fastlayer.run("load", "-i", saved)
    assert fastlayer.run("cat", "made:/file").stdout == CONTENT
    fastlayer.run("builder", "prune", "-f")  # what no image needs may be damaged still
    assert check(fastlayer, 4) == []


def test_a_repair_takes_out_what_no_copy_is_left_of(fastlayer: Command, tmp_path: Path) -> None:
    saved = tmp_path / "saved.tar"
    fastlayer.run("save", "-o", saved, "made")
    for place in ("cache/frames", "cache/exports"):
        for path in files(fastlayer.root, place):
            path.unlink()
    overwrite(object_of(fastlayer.root, CONTENT), CONTENT[:-1] + b"?")
    done = fastlayer.run("fsck", "--repair", check=False)
    assert done.returncode == 1
    assert b"it was taken out" in done.stdout
    assert b"load or build the images again" in done.stderr
    assert fastlayer.run("cat", "made:/file", check=False).returncode == 1
    fastlayer.run("load", "-i", saved)
    assert fastlayer.run("cat", "made:/file").stdout == CONTENT
    assert check(fastlayer, 4) == []


def test_a_repair_takes_contents_from_the_frames_that_a_save_left(fastlayer: Command) -> None:
    fastlayer.run("save", "--compression", "zstd", "-o", os.devnull, "made")
    overwrite(object_of(fastlayer.root, CONTENT), CONTENT[:-1] + b"?")
    for segment in files(fastlayer.root, "segments"):
        overwrite(segment, b"no segment")
    done = fastlayer.run("fsck", "--repair")
    assert b"repaired: object" in done.stdout
    assert fastlayer.run("cat", "made:/file").stdout == CONTENT
    assert check(fastlayer, 4) == []


def test_contents_that_changed_places_are_both_found(workshop: Workshop) -> None:
    """Two objects of one size under each other's names: every name and size is right."""
    contents = [bytes([byte]) * 50_000 for byte in (1, 2)]
    workshop.write({"one": contents[0], "two": contents[1]})
    workshop.build("FROM busybox\nCOPY one two /\n", tags="made")
    one, two = (object_of(workshop.store.root, content) for content in contents)
    spare = one.with_name("spare")
    one.rename(spare)
    two.rename(one)
    spare.rename(two)
    command = workshop.command()
    assert check(command, 1) == []
    assert check(command, 2) == ["object", "object", "segment"]
    done = command.run("save", "made", check=False)
    assert done.returncode == 1
    assert b"is damaged: its bytes have the id" in done.stderr
    assert command.run("fsck", "--repair", check=False).returncode == 1
    assert "image" in check(command, 4), "its layer had no other copy"
