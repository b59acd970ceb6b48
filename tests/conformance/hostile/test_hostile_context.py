"""Contexts, containers and destinations that change while they are read or written."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastlayer.container.copy import copy_out
from fastlayer.container.tree import MergedTree
from fastlayer.errors import FastlayerError
from fastlayer.store import Context, CopyOperation, CopySource

from tests.support.canary import Canary
from tests.support.layers import Layers
from tests.support.tar_blocks import file

ROUNDS = 15
"""How often a changing context is read; a race that is there shows in some of them."""
SIZE = 300_000
"""Bytes of a file that changes: long enough to change while it is read."""


@contextlib.contextmanager
def all_the_time(change: Callable[[int], object]) -> Iterator[None]:
    """Run a change again and again beside the body, with the number of the turn."""
    stop = threading.Event()

    def work() -> None:
        turn = 0
        while not stop.is_set():
            with contextlib.suppress(OSError):
                change(turn)
            turn += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def changes(root: Path, outside: Path) -> dict[str, Callable[[int], object]]:
    """What another process does to the context in ``root`` meanwhile."""
    place, folder, spare = root / "f", root / "d", root.parent / "spare"

    def swap(target: Path, replacement: Path) -> None:
        """Exchange what is at two paths by renaming, so that one of them is always there."""
        spare.unlink(missing_ok=True)
        target.rename(spare)
        replacement.rename(target)
        spare.rename(replacement)

    link_to_secret, link_to_folder = root.parent / "to-secret", root.parent / "to-folder"
    if not link_to_secret.is_symlink():
        link_to_secret.symlink_to(outside / "secret")
        link_to_folder.symlink_to(outside)
    return {
        "grows": lambda turn: append(place) if turn % 200 else place.write_bytes(b"x" * SIZE),
        "shrinks": lambda turn: os.truncate(place, SIZE - turn % SIZE),
        "is-rewritten": lambda turn: place.write_bytes(bytes([97 + turn % 26]) * SIZE),
        "becomes-a-link": lambda turn: swap(place, link_to_secret),
        "becomes-a-pipe": lambda turn: become_pipe(place),
        "folder-becomes-a-link": lambda turn: swap_folder(folder, link_to_folder, spare),
        "folder-goes": lambda turn: rename_back(folder, spare),
    }


def append(place: Path) -> None:
    with place.open("ab") as opened:
        opened.write(b"more" * 1000)


def become_pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)
    place.unlink()
    place.write_bytes(b"x" * SIZE)


def swap_folder(folder: Path, link: Path, spare: Path) -> None:
    folder.rename(spare)
    link.rename(folder)
    folder.rename(link)
    spare.rename(folder)


def rename_back(folder: Path, spare: Path) -> None:
    folder.rename(spare)
    spare.rename(folder)


KINDS = [
    "becomes-a-link",
    "becomes-a-pipe",
    "folder-becomes-a-link",
    "folder-goes",
    "grows",
    "is-rewritten",
    "shrinks",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_that_changes_gives_its_files_or_an_error(
    kind: str, layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    root = tmp_path / "context"
    fill(root)
    taken = 0
    with all_the_time(changes(root, canary.path)[kind]):
        for _ in range(ROUNDS):
            operation = CopyOperation([CopySource.context(Context(str(root)), b".")], b"/")
            try:
                chain = [layers.store.copy_layer([], operation).diff_id]
            except FastlayerError as error:
                assert str(root) in str(error) or "f" in str(error)
                continue
            taken += 1
            check(layers, chain)
    assert layers.store.fsck() == []
    canary.assert_untouched()


def fill(root: Path) -> None:
    (root / "d").mkdir(parents=True)
    (root / "f").write_bytes(b"x" * SIZE)
    for number in range(20):
        (root / "d" / f"g{number}").write_bytes(b"g" * 5000)


def check(layers: Layers, chain: list[str]) -> None:
    """No file of the tree holds what only the host has, and each is as long as it says."""
    for entry in layers.store.walk(chain):
        if entry.kind != "file":
            continue
        content = layers.store.read(chain, entry.path)
        assert len(content) == entry.size
        assert b"secret" not in content
        assert b"root:x" not in content


@pytest.mark.parametrize("kind", KINDS)
def test_copying_out_of_a_changing_container(
    kind: str, layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    """The upper is the container's, which may change it at any time."""
    chain = [layers.add(file(b"d/base", b"base"))]
    upper = tmp_path / "upper"
    fill(upper)
    tree = MergedTree(layers.store, chain, upper)
    with all_the_time(changes(upper, canary.path)[kind]):
        for number in range(ROUNDS):
            target = tmp_path / f"out-{number}"
            with contextlib.suppress(FastlayerError):
                copy_out(tree, "/.", str(target))
            for place in target.rglob("*"):
                if place.is_file() and not place.is_symlink():
                    assert b"secret" not in place.read_bytes()
            with contextlib.suppress(FastlayerError):
                assert b"secret" not in tree.read("/f", limit=10 * SIZE)
    canary.assert_untouched()


def test_a_destination_that_is_changed_meanwhile(
    layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    """Somebody swaps a folder of the destination for a link to the canary while it is filled."""
    chain = [layers.add(*(file(b"d/shared/f%d" % n, b"planted") for n in range(50)))]
    target = tmp_path / "target"
    (target / "d").mkdir(parents=True)
    link, spare = tmp_path / "link", tmp_path / "spare"
    link.symlink_to(canary.path)
    tree = MergedTree(layers.store, chain)

    with all_the_time(lambda turn: swap_folder(target / "d", link, spare)):
        for _ in range(ROUNDS):
            with contextlib.suppress(FastlayerError):
                layers.store.write_tree(chain, str(target))
            with contextlib.suppress(FastlayerError):
                copy_out(tree, "/.", str(target))
    canary.assert_untouched()
