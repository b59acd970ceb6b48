"""The layers that other tools write give here the tree that they give there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.trees.conftest import OurImages
from tests.support import rich_tree
from tests.support.tree_compare import Node, differences
from tests.support.tree_peers import Docker, LayerWriter

LOSES_ATTRIBUTES = frozenset({("buildkit", "build")})
"""BuildKit's differ writes no attribute but ``security.capability`` to a layer, and keeps the
directory that it made the layer of, with all of them. The others unpack what they wrote.
"""


@pytest.mark.parametrize("way", ["build", "commit"])
@pytest.mark.parametrize("peer", ["classic", "buildkit", "podman"])
def test_their_layers_give_their_tree(
    ours: OurImages,
    context: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    peer: str,
    way: str,
) -> None:
    writer: LayerWriter
    if peer == "podman":
        writer = request.getfixturevalue("podman")
    else:
        engine = request.getfixturevalue("engine")
        writer = Docker(engine, ours.mounts, buildkit=peer == "buildkit")
    image = f"theirs:{peer}-{way}"
    if way == "build":
        writer.build(context, image)
    else:
        writer.commit("trees:filled", rich_tree.change, image)
    archive = tmp_path / "theirs.tar"
    writer.save(image, archive)
    ours.command.run("load", "-i", archive)
    name = image if peer != "podman" else f"localhost/{image}"
    shown = json.loads(ours.command.text("inspect", "-f", "{{json .RootFS.Layers}}", name))
    theirs, found = writer.tree(image), ours.tree(tuple(shown))
    if (peer, way) in LOSES_ATTRIBUTES:
        lines = differences(theirs, found, ignore_fields=())
        assert {line.partition(": ")[2].split()[0] for line in lines} == {"xattrs"}
        theirs = {path: _as_written(path, node) for path, node in theirs.items()}
    assert differences(theirs, found, ignore_fields=()) == []


def _as_written(path: str, node: Node) -> Node:
    if not path.startswith(("copied/", "added/")):
        return node  # of the base's layers
    kept = [pair for pair in node.xattrs if pair[0] == "security.capability"]
    return replace(node, xattrs=tuple(kept))
