"""The layers that we write give one tree, whoever unpacks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.trees.conftest import EPOCH, RANDOM, OurImages
from tests.support.tree_compare import differences, name_groups, read_tar
from tests.support.tree_folder import read_folder
from tests.support.tree_peers import Docker, TreeKeeper, Umoci

IMAGES = ("run", "commit", "squashed", "clamped", "built", *RANDOM)


@pytest.fixture(scope="package")
def umoci(folder: Path, ours: OurImages) -> Umoci:
    made = Umoci(folder)
    made.load(ours.archive)
    return made


@pytest.mark.parametrize("image", IMAGES)
def test_files_and_tar_are_the_checkout(ours: OurImages, tmp_path: Path, image: str) -> None:
    chain = ours.chains[image]
    expected = ours.tree(chain)
    ours.mounts.store.write_tree(chain, str(tmp_path))
    assert differences(expected, read_folder(tmp_path), ignore_fields=()) == []
    with (tmp_path / "tree.tar").open("w+b") as file:
        ours.mounts.store.write_tree_tar(chain, file.fileno())
        file.seek(0)
        assert differences(expected, name_groups(read_tar(file)), ignore_fields=()) == []


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("peer", ["umoci", "podman", "docker"])
def test_every_tool_unpacks_the_same(
    ours: OurImages, request: pytest.FixtureRequest, image: str, peer: str
) -> None:
    keeper: TreeKeeper
    if peer == "docker":
        keeper = Docker(request.getfixturevalue("engine"), ours.mounts)
    else:
        keeper = request.getfixturevalue(peer)
    found = keeper.tree(f"trees:{image}")
    assert differences(ours.tree(ours.chains[image]), found, ignore_fields=()) == []


def test_each_kind_of_change_is_seen(ours: OurImages) -> None:
    """Otherwise all of the above would say little."""
    before, after = (ours.tree(ours.chains[name]) for name in ("filled", "run"))
    lines = differences(before, after, ignore_fields=())
    fields = {line.partition(": ")[2].split()[0] for line in lines}
    assert fields >= {"kind", "mode", "uid", "gid", "size", "digest", "xattrs", "link_group"}
    assert fields >= {"missing", "not", "mtime"}
    assert differences(after, ours.tree(ours.chains["commit"])) == []
    assert differences(after, ours.tree(ours.chains["squashed"]), ignore_fields=()) == []
    clamped = ours.tree(ours.chains["clamped"])
    assert differences(after, clamped) == []
    assert max(node.mtime for path, node in clamped.items() if path) == EPOCH
