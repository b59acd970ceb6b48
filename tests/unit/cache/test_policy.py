"""Which record may be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from fastlayer.cache.explanation import settings
from fastlayer.cache.index import StepRecord
from fastlayer.cache.keys import KeyParts
from fastlayer.cache.policy import StepCache

PARTS = KeyParts("t0", ("RUN", "make"), ("a",), ("env A=1",))


class Clamped(NamedTuple):
    """Stands for what is known of a layer."""

    diff_id: str


class Changed(NamedTuple):
    """Stands for a difference of two trees."""

    kind: str
    path: bytes
    reasons: tuple[str, ...] = ()


class Layers:
    """Stands for the store: which layers there are, and how often a tree was hashed."""

    def __init__(self, *diff_ids: str) -> None:
        self.diff_ids = set(diff_ids)
        self.hashed = 0
        self.clamped = 0

    def layer(self, diff_id: str) -> object | None:
        return diff_id if diff_id in self.diff_ids else None

    def tree_id(self, chain: Sequence[str]) -> str:
        self.hashed += 1
        return "tree of " + ",".join(chain)

    def compare(self, before: Sequence[str], after: Sequence[str]) -> list[Changed]:
        assert (before, after) == (["d1"], ["d2"])
        return [
            Changed("C", b"a", ("content", "time")),
            Changed("C", b"", ("time",)),
            Changed("A", b"b"),
            Changed("D", b"c"),
        ]

    def clamp_layer(self, diff_id: str, epoch: int) -> Clamped:
        self.clamped += 1
        made = Clamped(f"{diff_id} at {epoch}")
        self.diff_ids.add(made.diff_id)
        return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "build.sqlite"


def record(parts: KeyParts, diff_id: str, tree: str = "t1") -> StepRecord:
    return StepRecord(
        key=parts.key(),
        input_tree=parts.tree,
        diff_id=diff_id,
        tree=tree,
        created="2026-01-01T00:00:00Z",
        seconds=1.0,
        size=1,
        description="RUN make",
        place="p",
        parts=parts.fingerprints(),
        settings=settings(parts),
    )


def previous(cache: StepCache) -> StepRecord:
    last = cache.previous("p")
    assert last is not None
    return last


def test_without_a_record_of_the_instruction_no_inputs_can_match(path: Path) -> None:
    cache = StepCache(Layers("d1"), path)
    unread = KeyParts(PARTS.tree, PARTS.instruction, None, PARTS.configuration)
    assert not cache.may_match(unread)
    cache.record(record(PARTS, "d1"), ["d1"])
    assert cache.may_match(unread)
    assert cache.lookup(unread) is None
    assert not cache.may_match(KeyParts("other", unread.instruction, None, ()))
    assert not cache.may_match(KeyParts(unread.tree, ("RUN", "other"), None, ()))
    assert not StepCache(Layers("d1"), path, use=False).may_match(unread)
    elsewhere = KeyParts("other", unread.instruction, None, unread.configuration)
    assert (
        cache.miss_reason(elsewhere, previous(cache), "RUN make") == "what it starts from changed"
    )
    with pytest.raises(ValueError, match="inputs"):
        unread.key()


def test_found_only_while_the_layer_is_there(path: Path) -> None:
    layers = Layers("d1")
    cache = StepCache(layers, path)
    cache.record(record(PARTS, "d1"), ["d1"])
    assert cache.lookup(PARTS) is not None
    assert (
        cache.miss_reason(PARTS, previous(cache), "RUN make")
        == "its layer is no longer in the store"
    )
    layers.diff_ids.clear()
    assert cache.lookup(PARTS) is None


def test_no_cache_looks_at_nothing_and_records(path: Path) -> None:
    layers = Layers("d1")
    cache = StepCache(layers, path, use=False)
    cache.record(record(PARTS, "d1"), ["d1"])
    assert cache.lookup(PARTS) is None
    assert cache.same_result(PARTS, "t1") is None
    assert cache.previous("p") is None
    cache.close()
    assert StepCache(layers, path).lookup(PARTS) is not None


def test_early_cut_off_is_for_the_same_instruction(path: Path) -> None:
    cache = StepCache(Layers("d1"), path)
    cache.record(record(PARTS, "d1"), ["d1"])
    other_inputs = PARTS.replace(inputs=("b",))
    assert cache.lookup(other_inputs) is None
    found = cache.same_result(other_inputs, "t1")
    assert found is not None
    assert found.diff_id == "d1"
    assert cache.same_result(other_inputs, "t2") is None
    assert cache.same_result(PARTS.replace(instruction=("RUN", "touch")), "t1") is None
    assert cache.same_result(PARTS.replace(tree="t9"), "t1") is None


def test_a_tree_is_hashed_once_for_all_builds(path: Path) -> None:
    layers = Layers()
    cache = StepCache(layers, path)
    assert cache.tree(["a", "b"]) == "tree of a,b"
    cache.close()
    again = StepCache(layers, path)
    assert again.tree(["a", "b"]) == "tree of a,b"
    assert layers.hashed == 1


def test_strict_mode_goes_by_layers(path: Path) -> None:
    layers = Layers()
    cache = StepCache(layers, path, strict=True)
    assert cache.tree(["a"]) != cache.tree(["b"])
    assert layers.hashed == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tree": "t9"}, "what it starts from changed"),
        (
            {"instruction": ("RUN", "x")},
            "the instruction, as its variables expand, changed",
        ),
        ({"inputs": ("z",)}, "the content of its inputs changed"),
        (
            {"inputs": ("z",), "input_names": ("what is mounted at /m",)},
            "what is mounted at /m changed",
        ),
        (
            {"inputs": ("z",), "configuration": ()},
            "the content of its inputs; the variable A changed",
        ),
        (
            {"configuration": ("env A=1", "user 1", "bind /m True file", "env B=", "env C=")},
            "the bind mount of /m, the user, the variable B and 1 more changed",
        ),
    ],
)
def test_reasons_of_a_miss(path: Path, change: dict[str, object], reason: str) -> None:
    cache = StepCache(Layers("d1"), path)
    assert cache.previous("p") is None
    cache.record(record(PARTS, "d1"), ["d1"])
    assert cache.miss_reason(PARTS.replace(**change), previous(cache), "RUN make") == reason


def test_a_layer_is_clamped_once_for_each_time(path: Path) -> None:
    layers = Layers("d1")
    cache = StepCache(layers, path)
    assert [cache.clamp("d1", epoch) for epoch in (5, 5, 7)] == ["d1 at 5", "d1 at 5", "d1 at 7"]
    assert layers.clamped == 2
    cache.close()
    layers.diff_ids.discard("d1 at 5")
    assert StepCache(layers, path).clamp("d1", 5) == "d1 at 5"
    assert layers.clamped == 3


def test_a_changed_instruction_is_told_with_what_it_was(path: Path) -> None:
    cache = StepCache(Layers("d1"), path)
    cache.record(record(PARTS, "d1"), ["d1"])
    changed = PARTS.replace(instruction=("RUN", "x"))
    reason = cache.miss_reason(changed, previous(cache), "RUN x")
    assert reason == "the instruction, which was 'RUN make', changed"


def test_the_files_that_are_copied_otherwise_are_named(path: Path) -> None:
    cache = StepCache(Layers("d1"), path)
    cache.record(record(PARTS, "d1"), ["d1"])
    assert cache.copied_changes(PARTS, previous(cache), "d2") == ""
    changed = PARTS.replace(inputs=("z",))
    assert cache.copied_changes(changed, previous(cache), "d2") == "a (content), b (new), c (gone)"
