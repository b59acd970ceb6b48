"""Checkouts against the trees of their layers, read by the second reader."""

from __future__ import annotations

import os
import stat

import pytest

from tests.conformance.formats.reader import tree
from tests.conformance.formats.reader.checkout import Checkout, read_checkouts, read_lists
from tests.conformance.formats.reader.recipe import read_recipe, runs
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.sample import Sample

SMALL = 4096
_TYPES = {
    tree.FILE: stat.S_IFREG,
    tree.DIRECTORY: stat.S_IFDIR,
    tree.SYMLINK: stat.S_IFLNK,
    tree.CHAR: stat.S_IFCHR,
    tree.BLOCK: stat.S_IFBLK,
    tree.PIPE: stat.S_IFIFO,
    tree.WHITEOUT: stat.S_IFCHR,
}


@pytest.fixture(scope="module")
def store(sample: Sample) -> StoreFiles:
    return StoreFiles(sample.root)


@pytest.fixture(scope="module")
def layers(sample: Sample, store: StoreFiles) -> list[tuple[Checkout, list[tree.Entry]]]:
    found = []
    for checkout in read_checkouts(sample.root):
        if "-" in checkout.name:
            continue
        assert checkout.layers == [checkout.name]
        name = bytes.fromhex(checkout.name)
        tar = b"".join(runs(read_recipe(store.recipe(name), name), store))
        found.append((checkout, tree.tree_of(tar)))
    assert len(found) > 3
    return found


def test_a_checkout_has_the_paths_of_its_layer(
    layers: list[tuple[Checkout, list[tree.Entry]]],
) -> None:
    for checkout, entries in layers:
        wanted = {entry.path.decode() for entry in entries[1:]}
        deferred = {entries[number].path.decode() for number in checkout.deferred}
        found = {str(path.relative_to(checkout.files)) for path in checkout.files.rglob("*")}
        assert found | deferred == wanted
        assert not found & deferred


def test_what_is_there_is_what_the_layer_says(
    layers: list[tuple[Checkout, list[tree.Entry]]], store: StoreFiles
) -> None:
    for checkout, entries in layers:
        mark = f"{checkout.kind}.overlay.opaque"
        for number, entry in enumerate(entries):
            if number in checkout.deferred or entry.path == b"":
                continue
            path = checkout.files / entry.path.decode()
            status, node = path.lstat(), entry.node
            assert stat.S_IFMT(status.st_mode) == _TYPES[node.kind], path
            if node.kind == tree.WHITEOUT:
                assert status.st_rdev == 0
                continue
            if node.kind == tree.DIRECTORY:
                opaque = entry.flags & tree.OPAQUE
                marked = mark in os.listxattr(path) and os.getxattr(path, mark) == b"y"
                assert marked == bool(opaque)
            if node.kind == tree.SYMLINK:
                assert os.readlink(os.fsencode(path)) == node.link
            else:
                assert stat.S_IMODE(status.st_mode) == node.mode
            assert (status.st_uid, status.st_gid) == (node.uid, node.gid)
            assert status.st_size == node.size or node.kind != tree.FILE
            assert status.st_mtime_ns == node.seconds * 10**9 + node.nanoseconds, path


def test_links_to_objects_are_written_down(
    layers: list[tuple[Checkout, list[tree.Entry]]], store: StoreFiles
) -> None:
    linked = 0
    for checkout, entries in layers:
        inodes = set()
        for number, name in checkout.linked.items():
            entry = entries[number]
            assert entry.node.content == name
            assert entry.node.size > SMALL
            status = (checkout.files / entry.path.decode()).lstat()
            assert os.path.samestat(status, store.object_file(name).lstat())
            assert status.st_ino not in inodes
            inodes.add(status.st_ino)
            linked += 1
    assert linked > 0


def test_lists_name_directories_that_are_there(sample: Sample) -> None:
    lists = read_lists(sample.root)
    assert lists
    for found in lists:
        for name in [*found.lowers, *([found.stubs] if found.stubs else [])]:
            assert (found.folder.parent / name / "fs").is_dir()
        assert set(found.lowers) - set(found.layers) <= {
            name for name in found.lowers if name.startswith(("chain-", "fix-"))
        }
