"""Diff and apply are exact: ``apply(diff(a, b), a) == b``, for any two trees."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.file_system import place
from tests.support.requirements import need_core, need_root
from tests.support.tree_compare import Node, differences, name_groups, read_tar
from tests.support.tree_edit import Edit, apply_edits
from tests.support.tree_folder import read_folder

need_root()
need_core()

from fastlayer.store import Store  # noqa: E402

from tests.support.tree_mount import TreeMounts, tree_mounts  # noqa: E402

NUMBER = st.integers(0, 2000)
EDIT = st.builds(Edit, NUMBER, NUMBER, NUMBER, NUMBER)
EDITS = st.lists(EDIT, max_size=10) | st.lists(EDIT, min_size=15, max_size=40)
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


def check(mounts: TreeMounts, first: list[Edit], second: list[Edit], adopt: bool) -> None:
    """Edit an empty tree to a, and a to b, in mounts; whatever shows a layer's tree gives b."""
    store, chain = mounts.store, list[str]()
    before: dict[str, Node] = {}
    for edits in (first, second):
        with mounts.mounted(chain) as mount:
            if chain:
                assert differences(before, read_folder(mount.merged), ignore_fields=()) == []
            apply_edits(mount.merged, edits)
            tree = read_folder(mount.merged)
        chain.append(mounts.layer(chain, mount, adopt=adopt).diff_id)
        assert_writes(mounts, chain, tree)
        before = tree
    whole = store.squash_layers([], chain).diff_id
    assert_writes(mounts, [whole], tree)
    over = store.squash_layers(chain[:1], [whole]).diff_id
    again = store.squash_layers(chain[:1], chain).diff_id
    assert again == over, "the difference of two trees depends on how the second was made"
    assert_writes(mounts, [chain[0], over], tree)
    for layers in (chain, [chain[0], over]):
        with mounts.mounted(layers) as mount:
            assert differences(tree, read_folder(mount.merged), ignore_fields=()) == []
    shutil.rmtree(mounts.folder)
    mounts.folder.mkdir()


def assert_writes(mounts: TreeMounts, chain: list[str], tree: dict[str, Node]) -> None:
    """A chain is written out as this tree: as files, and as a tar."""
    place = mounts.folder / "written"
    place.mkdir()
    mounts.store.write_tree(chain, str(place))
    assert differences(tree, read_folder(place), ignore_fields=()) == []
    shutil.rmtree(place)
    with tempfile.TemporaryFile() as file:
        mounts.store.write_tree_tar(chain, file.fileno())
        file.seek(0)
        assert differences(tree, name_groups(read_tar(file)), ignore_fields=()) == []


@settings(EXAMPLES, max_examples=30, derandomize=True)
@given(EDITS, EDITS, st.booleans())
def test_a_layer_leads_from_one_tree_to_the_other(
    mounts: TreeMounts, first: list[Edit], second: list[Edit], adopt: bool
) -> None:
    check(mounts, first, second, adopt)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(EXAMPLES, max_examples=2000)
@given(EDITS, EDITS, st.booleans())
def test_many_layers_lead_from_one_tree_to_the_other(
    mounts: TreeMounts, first: list[Edit], second: list[Edit], adopt: bool
) -> None:
    check(mounts, first, second, adopt)
