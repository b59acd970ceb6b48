"""How far an archive is, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

from fastlayer.oci.digest import short
from fastlayer.store import Progress

LayerProgress = Callable[[str, int, int], None]
"""Called now and then: the layer at hand in a word, bytes done of it, and bytes in all."""


def of_layer(progress: LayerProgress | None, diff_id: str, size: int) -> Progress | None:
    """What the store is to call for one layer of ``size`` bytes; 0 where the store knows that."""
    if progress is None:
        return None
    name = short(diff_id)

    def moved(done: int, total: int) -> None:
        progress(name, done, total or size)

    return moved
