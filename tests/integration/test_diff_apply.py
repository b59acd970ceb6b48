"""Diff and apply are exact: ``apply(diff(a, b), a) == b``, for any two trees."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.file_system import place
from tests.support.requirements import need_core, need_root
from tests.support.tree_compare import Node, differences, name_groups, read_tar
from tests.support.tree_edit import Edit, apply_edits, settle_times, without_links
from tests.support.tree_folder import read_folder

need_root()
need_core()

from fastlayer.store import Store, remove_tree  # noqa: E402

from tests.support.tree_mount import TreeMounts, tree_mounts  # noqa: E402

NUMBER = st.integers(0, 2000)
EDIT = st.builds(Edit, NUMBER, NUMBER, NUMBER, NUMBER)
EDITS = st.lists(EDIT, max_size=10) | st.lists(EDIT, min_size=15, max_size=40)
STEPS = st.lists(EDITS, min_size=2, max_size=4)
EPOCH = 1_500_000_000
INTO_ABOVE = (
    [Edit(0, 0, over, how) for over, how in ((0, 24), (1, 25), (2, 26), (2, 25), (3, 26))]
    + [Edit(11, 4, 0, 51)],
    [Edit(8, 2, 0, 0)],
)
"""``cp -aT a/b a``, where ``a/b/c`` is older than ``a/b/b`` and ``a/b/b/c`` has the set-group-id
bit: whether ``a/c`` gets it depends on which of the two is copied first."""
EXAMPLES = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreeMounts]:
    """In memory: a mount a tree leaves no time for disks."""
    with (
        place("tmpfs", tmp_path_factory.mktemp("diff"), 2 << 30) as folder,
        tree_mounts(Store(folder / "store"), folder / "mounts") as opened,
    ):
        yield opened


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Whatever becomes of one example, the next finds an empty folder."""
    try:
        yield
    finally:
        remove_tree(folder)
        folder.mkdir()


def check(mounts: TreeMounts, steps: list[list[Edit]], adopt: bool) -> None:
    """Edit an empty tree step by step in mounts; whatever shows a layer's tree gives the tree."""
    chain: list[str] = []
    tree: dict[str, Node] = {}
    for edits in steps:
        with mounts.mounted(chain) as mount:
            assert differences(tree, read_folder(mount.merged), ignore_fields=()) == []
            apply_edits(mount.merged, edits)
            tree = storable(read_folder(mount.merged))
        chain.append(mounts.layer(chain, mount, adopt=adopt).diff_id)
        assert_writes(mounts, chain, tree)
    over = check_squashed(mounts, chain, tree)
    for layers in (chain, [chain[0], over]):
        with mounts.mounted(layers) as mount:
            assert differences(tree, read_folder(mount.merged), ignore_fields=()) == []
    clamped = [mounts.store.clamp_layer(layer, EPOCH).diff_id for layer in chain]
    early = {path: replace(node, mtime=min(node.mtime, EPOCH)) for path, node in tree.items()}
    assert differences(early, read_chain(mounts, clamped), ignore_fields=()) == []


def check_squashed(mounts: TreeMounts, chain: list[str], tree: dict[str, Node]) -> str:
    """One layer for all, and one that leads from the first tree to the last, which is given."""
    store = mounts.store
    whole = store.squash_layers([], chain).diff_id
    assert_writes(mounts, [whole], tree)
    over = store.squash_layers(chain[:1], [whole]).diff_id
    again = store.squash_layers(chain[:1], chain).diff_id
    assert again == over, "the difference of two trees depends on how the second was made"
    assert_writes(mounts, [chain[0], over], tree)
    return over


def storable(tree: dict[str, Node]) -> dict[str, Node]:
    """The tree without what no layer holds."""
    return {path: node for path, node in tree.items() if node.kind != "socket"}


def assert_writes(mounts: TreeMounts, chain: list[str], tree: dict[str, Node]) -> None:
    """A chain is written out as this tree: as files, and as a tar."""
    place = mounts.folder / "written"
    place.mkdir()
    mounts.store.write_tree(chain, str(place))
    assert differences(tree, read_folder(place), ignore_fields=()) == []
    remove_tree(place)
    assert differences(tree, read_chain(mounts, chain), ignore_fields=()) == []


def read_chain(mounts: TreeMounts, chain: list[str]) -> dict[str, Node]:
    """The merged tree of a chain, by its tar."""
    with tempfile.TemporaryFile() as file:
        mounts.store.write_tree_tar(chain, file.fileno())
        file.seek(0)
        return name_groups(read_tar(file))


def entries(mounts: TreeMounts, layer: str) -> dict[str, Node]:
    """The entries of a layer."""
    with tempfile.TemporaryFile() as file:
        mounts.store.write_tar(layer, file.fileno())
        file.seek(0)
        return name_groups(read_tar(file))


def check_places(mounts: TreeMounts, first: list[Edit], second: list[Edit]) -> None:
    """The same is done to a over an overlay and in a plain tree: it gives the same layer.

    There are no hard links in a: their names are files of their own in a plain tree, which ``mv``
    can tell.
    """
    start = int(time.time())
    with mounts.mounted([]) as mount:
        apply_edits(mount.merged, without_links(first))
        settle_times(mount.merged, start)
    base = [mounts.layer([], mount, adopt=True).diff_id]
    with mounts.mounted(base) as mount:
        apply_edits(mount.merged, second, move_directories=False)
        settle_times(mount.merged, start)
    over = mounts.layer(base, mount, adopt=False).diff_id
    place = mounts.folder / "plain"
    place.mkdir()
    plain = mounts.store.lay_out(base, str(place))
    apply_edits(place, second, move_directories=False)
    settle_times(place, start)
    walked = mounts.store.diff_plain_tree(plain).diff_id
    assert differences(*(entries(mounts, layer) for layer in (over, walked))) == []
    assert walked == over


@settings(EXAMPLES, max_examples=20, derandomize=True)
@given(EDITS, EDITS)
@example(*INTO_ABOVE)
def test_a_full_walk_gives_the_layer_of_an_overlay(
    mounts: TreeMounts, first: list[Edit], second: list[Edit]
) -> None:
    with emptied(mounts.folder):
        check_places(mounts, first, second)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(EXAMPLES, max_examples=1000)
@given(EDITS, EDITS)
def test_many_full_walks_give_the_layer_of_an_overlay(
    mounts: TreeMounts, first: list[Edit], second: list[Edit]
) -> None:
    with emptied(mounts.folder):
        check_places(mounts, first, second)


@settings(EXAMPLES, max_examples=30, derandomize=True)
@given(STEPS, st.booleans())
def test_layers_lead_from_one_tree_to_the_next(
    mounts: TreeMounts, steps: list[list[Edit]], adopt: bool
) -> None:
    with emptied(mounts.folder):
        check(mounts, steps, adopt)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(EXAMPLES, max_examples=2000)
@given(STEPS, st.booleans())
def test_many_layers_lead_from_one_tree_to_the_next(
    mounts: TreeMounts, steps: list[list[Edit]], adopt: bool
) -> None:
    with emptied(mounts.folder):
        check(mounts, steps, adopt)
