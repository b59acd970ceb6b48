"""Times and entries of a built image's history."""

from __future__ import annotations

from fastlayer.builder.history import (
    base_history,
    config_entry,
    fill_times,
    image_config,
    layer_entry,
    timestamp,
)
from fastlayer.oci.history import HistoryEntry
from fastlayer.value import replace

from tests.unit.builder.planning import DEBIAN, target

OLD, NEW, LATER = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def times(*entries: HistoryEntry) -> list[str]:
    return [entry.created for entry in fill_times(entries)]


def test_entries_without_a_layer_take_the_time_of_the_next_one() -> None:
    base = HistoryEntry(created=OLD, created_by="base")
    assert times(base, config_entry("A"), layer_entry("B", NEW), config_entry("C")) == [
        OLD,
        NEW,
        NEW,
        NEW,
    ]
    assert times(config_entry("A"), layer_entry("B", NEW), layer_entry("C", LATER)) == [
        NEW,
        NEW,
        LATER,
    ]
    assert times(layer_entry("B", NEW), layer_entry("C", LATER), config_entry("D")) == [
        NEW,
        LATER,
        LATER,
    ]


def test_without_a_new_layer_the_base_gives_the_time() -> None:
    assert times(HistoryEntry(created=OLD), config_entry("A"), config_entry("B")) == [OLD] * 3
    assert times(config_entry("A")) == [""]


def test_a_base_whose_history_does_not_fit_is_filled_up() -> None:
    bare = replace(DEBIAN, history=(), created=OLD)
    (entry,) = base_history(bare)
    assert (entry.created, entry.comment) == (OLD, "buildkit.exporter.image.v0")
    long = replace(DEBIAN, history=(HistoryEntry(), HistoryEntry(), HistoryEntry()))
    assert len(base_history(long)) == 1
    assert base_history(DEBIAN) == DEBIAN.history


def test_the_image_is_as_old_as_its_last_entry() -> None:
    stage = target("FROM debian\nRUN a\nENV x=1\n")
    entries = (*base_history(DEBIAN), layer_entry("RUN", NEW), config_entry("ENV"))
    config = image_config(stage, ("sha256:base", "sha256:new"), entries)
    assert config.created == NEW
    assert config.diff_ids == ("sha256:base", "sha256:new")
    assert sum(not entry.empty_layer for entry in config.history) == len(config.diff_ids)


def test_timestamps() -> None:
    assert timestamp(0.0) == "1970-01-01T00:00:00.000000Z"
