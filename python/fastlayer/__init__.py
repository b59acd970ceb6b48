"""fastlayer: a fast, exact, daemonless container image builder and layer store.

The front door is two names: :class:`Store`, the layer store, and :func:`build`, which makes an
image from a Dockerfile. Both are imported when first used, so that ``import fastlayer`` is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastlayer.builder import BuildResult, build
    from fastlayer.store import Store

__all__ = ["BuildResult", "Store", "build"]

_HOMES = {
    "Store": "fastlayer.store",
    "build": "fastlayer.builder",
    "BuildResult": "fastlayer.builder",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fastlayer' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
