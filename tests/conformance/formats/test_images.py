"""Refs, documents, containers and the build cache, read by the second reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.conformance.formats.reader.build_cache import chain_name, read_chain_trees, read_steps
from tests.conformance.formats.reader.container import read_containers
from tests.conformance.formats.reader.recipe import read_recipe, runs
from tests.conformance.formats.reader.refs import ImageFile, file_name, read_images, read_names
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.reader.tree import tree_of
from tests.conformance.formats.reader.tree_id import merged, tree_id
from tests.conformance.formats.sample import Sample

LIBRARY = "docker.io/library"


def test_names_lead_to_images_and_images_to_layers(sample: Sample) -> None:
    store = StoreFiles(sample.root)
    images = {image.config: image for image in read_images(sample.root)}
    names = {name.name: name for name in read_names(sample.root)}
    assert set(names) == {f"{LIBRARY}/{name}:latest" for name in ("base", "site", "odd", "chunks")}
    wanted = set()
    for name in names.values():
        assert list(name.images) == ["linux/amd64"]
        config = document(store, images[name.images["linux/amd64"]].config)
        layers = config["rootfs"]["diff_ids"]
        wanted |= {bytes.fromhex(layer.removeprefix("sha256:")) for layer in layers}
    assert wanted <= set(store.layers())


def test_an_image_that_came_in_has_its_manifest(sample: Sample) -> None:
    store = StoreFiles(sample.root)
    for image in read_images(sample.root):
        if image.manifest is not None:
            assert document(store, image.manifest)["config"]["digest"] == image.config


def test_long_names_are_cut() -> None:
    name = f"localhost:5000/{'part/' * 50}image:tag"
    assert file_name("localhost:5000/a/b:c%") == "localhost%3A5000%2Fa%2Fb%3Ac%25.json"
    assert len(file_name(name)) == 150 + 1 + 64 + len(".json")


def test_a_container_is_what_it_was_made_with(sample: Sample) -> None:
    (found,) = read_containers(sample.root)
    assert found.config["name"] == "box"
    assert found.config["image_id"] == image_of(sample, "site").config
    assert found.state["status"] == "exited"
    assert (found.state["exit_code"], found.state["pid"]) == (3, 0)
    said = {line["stream"]: line["log"] for line in found.log}
    assert said == {"stdout": "out\n", "stderr": "err\n"}
    folder = sample.root / "containers" / found.config["id"]
    assert (folder / "upper" / "new").read_text() == "new\n"
    deleted = (folder / "upper" / "site" / "moved").lstat()
    assert deleted.st_rdev == 0
    assert [path.is_dir() for path in (folder / "volumes").iterdir()] == [True]


def test_the_build_cache_has_the_steps_of_the_image(sample: Sample) -> None:
    store = StoreFiles(sample.root)
    config = document(store, image_of(sample, "site").config)
    steps = {step.diff_id: step for step in read_steps(sample.root)}
    chain = config["rootfs"]["diff_ids"]
    texts = [entry["created_by"] for entry in config["history"][1:]]
    for diff_id, text in zip(chain[1:], texts, strict=True):
        step = steps[diff_id]
        assert sum(map(len, layer_runs(store, diff_id))) > 0
        assert text.startswith(step.description.split()[0])


def test_tree_ids_are_those_of_the_merged_trees(sample: Sample) -> None:
    store = StoreFiles(sample.root)
    chain = document(store, image_of(sample, "site").config)["rootfs"]["diff_ids"]
    layers = [tree_of(b"".join(layer_runs(store, diff_id))) for diff_id in chain]
    trees = [tree_id(merged(layers[:depth])) for depth in range(1, len(chain) + 1)]
    steps = {step.diff_id: step for step in read_steps(sample.root)}
    for number, diff_id in enumerate(chain[1:], 1):
        assert (steps[diff_id].input_tree, steps[diff_id].tree) == tuple(trees[number - 1 :][:2])
    remembered = read_chain_trees(sample.root)
    for depth, tree in enumerate(trees, 1):
        name = chain_name(chain[:depth])
        assert remembered.get(name, tree) == tree
    assert chain_name(chain[:1]) in remembered


def image_of(sample: Sample, name: str) -> ImageFile:
    (config,) = next(
        found.images.values()
        for found in read_names(sample.root)
        if found.name == f"{LIBRARY}/{name}:latest"
    )
    return next(image for image in read_images(sample.root) if image.config == config)


def layer_runs(store: StoreFiles, diff_id: str) -> Iterator[bytes]:
    name = bytes.fromhex(diff_id.removeprefix("sha256:"))
    return runs(read_recipe(store.recipe(name), name), store)


def document(store: StoreFiles, digest: str) -> Any:
    return json.loads(store.blob(digest))
