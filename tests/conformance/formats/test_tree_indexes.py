"""Tree indexes against what the tars of their layers mean, both by the text alone."""

from __future__ import annotations

import pytest

from tests.conformance.formats.reader import tree
from tests.conformance.formats.reader.recipe import read_recipe, runs
from tests.conformance.formats.reader.refusal import RefusedError
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.reader.tree_index import read_tree_index
from tests.conformance.formats.sample import Sample


@pytest.fixture(scope="module")
def store(sample: Sample) -> StoreFiles:
    return StoreFiles(sample.root)


def test_indexes_are_what_the_tars_say(store: StoreFiles) -> None:
    kinds, flags = set(), 0
    for name in store.layers():
        recipe = read_recipe(store.recipe(name), name)
        tar = b"".join(runs(recipe, store))
        data = store.tree(name)
        assert (data is None) == recipe.raw
        if data is None:
            continue
        layer_flags, found = read_tree_index(data)
        assert found == tree.tree_of(tar), name.hex()
        implicit = any(entry.flags & tree.IMPLICIT for entry in found[1:])
        far = any(entry.node.kind == tree.FAR_LINK for entry in found)
        assert layer_flags == implicit + 2 * far
        kinds |= {entry.node.kind for entry in found}
        for entry in found:
            flags |= entry.flags
    assert kinds == set(range(1, 9))
    assert flags == tree.OPAQUE | tree.IMPLICIT | tree.OVER


def test_a_raw_layer_makes_no_tree(store: StoreFiles) -> None:
    refused = 0
    for name in store.layers():
        recipe = read_recipe(store.recipe(name), name)
        if recipe.raw:
            try:
                tree.tree_of(b"".join(runs(recipe, store)))
            except (RefusedError, ValueError, IndexError):
                refused += 1
    assert refused > 5


def test_an_index_that_is_cut_short_is_refused(store: StoreFiles) -> None:
    data = max(filter(None, map(store.tree, store.layers())), key=len)
    for end in range(0, len(data), max(1, len(data) // 50)):
        with pytest.raises(RefusedError):
            read_tree_index(data[:end])
