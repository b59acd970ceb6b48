"""Layers: recipes, segments and objects, read by the second reader."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.conformance.formats.reader.borders import SMALL, runs_of
from tests.conformance.formats.reader.hashes import content_id, sha256
from tests.conformance.formats.reader.recipe import SLICE, Recipe, read_recipe, runs
from tests.conformance.formats.reader.refusal import RefusedError
from tests.conformance.formats.reader.segment import expand_checked, read_segment
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.reader.tar import members, real_content
from tests.conformance.formats.sample import Sample

LAYERS = 90


@dataclass(frozen=True)
class Layer:
    """A layer's recipe, and its tar as the recipe gives it."""

    recipe: Recipe
    tar: bytes


@pytest.fixture(scope="module")
def store(sample: Sample) -> StoreFiles:
    return StoreFiles(sample.root)


@pytest.fixture(scope="module")
def layers(store: StoreFiles) -> list[Layer]:
    found = []
    for name in store.layers():
        recipe = read_recipe(store.recipe(name), name)
        found.append(Layer(recipe, b"".join(runs(recipe, store))))
    return found


def understood(layers: list[Layer]) -> list[Layer]:
    found = [layer for layer in layers if not layer.recipe.raw]
    assert len(found) >= LAYERS
    return found


def test_every_layer_is_what_it_is_named_by(layers: list[Layer]) -> None:
    for layer in layers:
        assert sha256(layer.tar) == layer.recipe.diff_id
        assert len(layer.tar) == layer.recipe.size


def test_raw_layers_say_why(layers: list[Layer]) -> None:
    raw = [layer.recipe for layer in layers if layer.recipe.raw]
    assert len(raw) > 5
    assert all(recipe.reason and not recipe.content_size for recipe in raw)


def test_tars_are_cut_where_the_text_says(layers: list[Layer]) -> None:
    kinds = set()
    for layer in understood(layers):
        at, found = 0, []
        for row in layer.recipe.rows:
            found.append((at, at + row.length, row.kind == SLICE))
            kinds.add(row.kind)
            at += row.length
        assert found == [(run.start, run.end, run.of_object) for run in runs_of(layer.tar)]
    assert kinds == {0, 1, 2}


def test_recipes_count_members_and_contents(layers: list[Layer]) -> None:
    for layer in understood(layers):
        found = list(members(layer.tar))
        assert layer.recipe.entries == len(found)
        files = [member.size for member in found if member.kind == b"0"]
        assert layer.recipe.content_size == sum(files)


def test_recipes_list_exactly_the_objects_that_their_layer_needs(
    layers: list[Layer], store: StoreFiles
) -> None:
    for layer in understood(layers):
        wanted = set()
        for member in members(layer.tar):
            content = real_content(layer.tar, member) if member.kind == b"0" else b""
            if len(content) > SMALL or (content and member.pieces is not None):
                wanted.add(content_id(content))
        assert set(layer.recipe.objects) == wanted
        named = {name for at in layer.recipe.segments for name in listed(store, at)}
        assert named <= wanted


def listed(store: StoreFiles, segment: bytes) -> tuple[bytes, ...]:
    return read_segment(store.segment(segment)).objects


def test_every_object_and_segment_is_what_it_is_named_by(
    layers: list[Layer], store: StoreFiles
) -> None:
    objects = functools.cache(store.object)
    for name in store.objects():
        objects(name)
    for name in store.segments():
        expand_checked(store.segment(name), name, objects)
    assert {name for layer in layers for name in layer.recipe.objects} <= set(store.objects())
    assert {name for layer in layers for name in layer.recipe.segments} <= set(store.segments())


def test_a_flipped_bit_of_a_recipe_is_found(layers: list[Layer], store: StoreFiles) -> None:
    name = layers[0].recipe.diff_id
    assert_found(store.recipe(name), lambda data: read_recipe(data, name))


def test_a_flipped_bit_of_a_segment_is_found(store: StoreFiles) -> None:
    name = min(store.segments(), key=lambda name: len(store.segment(name)))
    data = store.segment(name)
    tar = expand_checked(data, name, store.object)
    same = []
    for at in range(len(data)):
        try:
            assert expand_checked(flipped(data, at), name, store.object) == tar
            same.append(at)
        except RefusedError:
            pass
    # A frame of zstd has a few bits that mean nothing: the id speaks of what comes out of it.
    assert len(same) * 20 < len(data)


def test_a_flipped_bit_of_an_object_is_found(store: StoreFiles) -> None:
    name = min(store.objects(), key=lambda name: len(store.object(name)))

    def hashed(data: bytes) -> None:
        if content_id(data) != name:
            raise RefusedError(name.hex())

    assert_found(store.object(name), hashed)


def assert_found(data: bytes, read: Callable[[bytes], object]) -> None:
    """Each of some flipped bits makes the reader refuse the file."""
    read(data)
    for at in {*range(0, len(data), max(1, len(data) // 200)), len(data) - 1}:
        with pytest.raises(RefusedError):
            read(flipped(data, at))


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit of one of them flipped."""
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
