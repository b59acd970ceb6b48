"""What becomes of a build's own layers when the image is complete: one layer, or none too young.

The base's layers and history are never touched. Both forms follow from the layers alone, so that a
rebuild gives the same image.
"""

from __future__ import annotations

from fastlayer.builder.graph import BaseImage, FromStage, Plan
from fastlayer.builder.history import base_history, timestamp
from fastlayer.builder.result import StageResult
from fastlayer.cache.policy import StepCache
from fastlayer.errors import UsageError
from fastlayer.oci.history import HistoryEntry
from fastlayer.store import Store
from fastlayer.value import replace

LAST_EPOCH = 253_402_300_799
"""The last second of the year 9999: later ones cannot be written into a config."""


CONTEXT_EPOCH = "context"
"""Stands for the time of the context."""


def parse_epoch(text: str, name: str = "SOURCE_DATE_EPOCH") -> int:
    """Read a number of seconds since 1970; ``name`` is what an error calls it.

    Raises
    ------
    UsageError
        It is none, or cannot be written as a time.
    """
    if not (text.isascii() and text.isdigit()) or int(text) > LAST_EPOCH:
        raise UsageError(
            f"{name}={text} is not a number of seconds since 1970",
            hint="as printed by git log -1 --pretty=%ct; or context, for the context's own time",
        )
    return int(text)


def base_size(plan: Plan) -> tuple[int, int]:
    """How many layers and how many lines of history the target has from its base image."""
    base = plan.stages[plan.target].base
    while isinstance(base, FromStage):
        base = plan.stages[base.index].base
    if isinstance(base, BaseImage):
        return len(base.chain), len(base_history(base.config))
    return 0, 0


def squashed(plan: Plan, stage: StageResult, store: Store) -> StageResult:
    """The stage with all of its own layers as one; each line of history is kept, without one."""
    layers, lines = base_size(plan)
    own = len(stage.chain) - layers
    if own < 2:
        return stage
    made = store.squash_layers(stage.chain[:layers], stage.chain)
    entries = [replace(entry, empty_layer=True) for entry in stage.history[lines:]]
    last = max(entry.created for entry in entries)
    merge = HistoryEntry(created=last, comment=f"merge of {own} layers")
    return StageResult(
        (*stage.chain[:layers], made.diff_id), (*stage.history[:lines], *entries, merge)
    )


def clamped(plan: Plan, stage: StageResult, epoch: int, cache: StepCache) -> StageResult:
    """The stage with no time of its own after ``epoch``, which all its lines of history have."""
    layers, lines = base_size(plan)
    time = timestamp(epoch).replace(".000000", "")
    entries = [replace(entry, created=time) for entry in stage.history[lines:]]
    own = [cache.clamp(diff_id, epoch) for diff_id in stage.chain[layers:]]
    return StageResult((*stage.chain[:layers], *own), (*stage.history[:lines], *entries))
