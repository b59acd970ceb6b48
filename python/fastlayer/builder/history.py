"""The history of a built image: its entries' times, and the base's entries made to fit. Pure.

An entry that made no layer has the time of the first new layer after it, else of the one before it,
as BuildKit writes it; so a rebuild from the cache gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fastlayer.builder.graph import PlannedStage
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.created_by import COMMENT
from fastlayer.oci.history import HistoryEntry
from fastlayer.value import replace

EXPORTER_COMMENT = "buildkit.exporter.image.v0"
"""The comment of entries made up for layers whose history is not known."""


def layer_entry(created_by: str, created: str) -> HistoryEntry:
    """The entry of an instruction that made a layer."""
    return HistoryEntry(created=created, created_by=created_by, comment=COMMENT)


def config_entry(created_by: str) -> HistoryEntry:
    """The entry of one that made none; its time is filled in at the end."""
    return HistoryEntry(created_by=created_by, comment=COMMENT, empty_layer=True)


def base_history(config: ImageConfig) -> tuple[HistoryEntry, ...]:
    """The history of a base, with one entry for each of its layers whatever it says itself."""
    made = sum(not entry.empty_layer for entry in config.history)
    layers = len(config.diff_ids)
    if made == layers:
        return config.history
    known = config.history if made < layers else ()
    missing = layers - (made if made < layers else 0)
    unknown = HistoryEntry(created=config.created, comment=EXPORTER_COMMENT)
    return (*known, *(unknown for _ in range(missing)))


def fill_times(history: Sequence[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """Give a time to the entries that have none."""
    pending = next((i for i, entry in enumerate(history) if not entry.created), len(history))
    times = [entry.created for entry in history]
    after = [time for time in times[pending:] if time]
    before = [time for time in times[:pending] if time]
    current = after[0] if after else before[-1] if before else ""
    filled = []
    for place, entry in enumerate(history):
        if entry.created:
            if place > pending:
                current = entry.created
            filled.append(entry)
        else:
            filled.append(replace(entry, created=current))
    return tuple(filled)


def image_config(
    stage: PlannedStage, chain: tuple[str, ...], history: Sequence[HistoryEntry]
) -> ImageConfig:
    """The config of the image that a stage ends as."""
    filled = fill_times(history)
    times = [entry.created for entry in filled if entry.created]
    return replace(
        stage.config,
        diff_ids=chain,
        history=filled,
        created=times[-1] if times else stage.config.created,
        raw=None,
    )


def timestamp(seconds: float) -> str:
    """A time as image configs write it: RFC 3339 in UTC, to the microsecond."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"
