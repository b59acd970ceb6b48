"""A stopped container's upper becomes a layer, whatever moment the machine stops at.

The store takes the directory itself, by rename, and only then is it known which layer it became.
So a note is written first, with the directory's identity and the history entry. Whoever finds a
note that was left behind does the rest: from the upper where it is still there, else by looking
for the layer whose checkout is that very directory.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastlayer.container import document, rootfs
from fastlayer.container.registry import Container
from fastlayer.container.state import AdoptedLayer
from fastlayer.errors import FastlayerError
from fastlayer.store import LayerInfo, Store

_NOTE = "adopting.json"


def adopt_upper(store: Store, container: Container, history: Mapping[str, object]) -> LayerInfo:
    """Make a layer of the upper and give the container an empty one; the caller holds its lock.

    Parameters
    ----------
    store, container:
        Which one; it does not run.
    history:
        The entry that the layer has in images made of the container later.

    Returns
    -------
    The layer; the empty one where nothing was changed, which is not added to the container.

    Raises
    ------
    StoreError
        The layer cannot be made; the upper is as it was.
    """
    finish_adoption(store, container)
    status = container.upper.stat()
    note = {"device": status.st_dev, "inode": status.st_ino, "history": dict(history)}
    document.write(container.directory / _NOTE, note)
    try:
        layer = store.diff_upper(container.chain(), str(container.upper), adopt=True)
    except BaseException:
        if container.upper.exists():
            (container.directory / _NOTE).unlink()
        raise
    store.sync()
    _settle(store, container, layer.diff_id, history)
    return layer


def finish_adoption(store: Store, container: Container) -> None:
    """End what a killed commit began, if there is any; the caller holds the container's lock.

    Raises
    ------
    CorruptError
        The note is damaged.
    StoreError
        The layer cannot be made.
    """
    path = container.directory / _NOTE
    try:
        note = document.read(path)
    except FileNotFoundError:
        return
    identity = (note.get("device"), note.get("inode"))
    history = note.get("history")
    entry = history if isinstance(history, dict) else {}
    if container.upper.exists() and _identity(container.upper) == identity:
        layer = store.diff_upper(container.chain(), str(container.upper), adopt=True)
        store.sync()
        _settle(store, container, layer.diff_id, entry)
        return
    if not container.upper.exists():
        found = _layer_of(store, container.chain(), identity)
        _settle(store, container, found or store.empty_layer().diff_id, entry)
        return
    if not (container.directory / "work").exists():
        _new_upper(store, container)
    path.unlink()


def _settle(
    store: Store, container: Container, diff_id: str, history: Mapping[str, object]
) -> None:
    state = container.state()
    known = [layer.diff_id for layer in state.layers]
    if diff_id != store.empty_layer().diff_id and diff_id not in known[-1:]:
        container.write_state(state.adopted(AdoptedLayer(diff_id=diff_id, history=history)))
    _new_upper(store, container)
    (container.directory / _NOTE).unlink()


def _new_upper(store: Store, container: Container) -> None:
    for name in ("upper", "work"):
        shutil.rmtree(container.directory / name, ignore_errors=True)
    rootfs.make_upper(store, container.chain(), container.directory)


def _layer_of(store: Store, chain: Sequence[str], identity: tuple[object, object]) -> str | None:
    """The layer over a chain whose checkout is a certain directory."""
    for diff_id in store.layers():
        try:
            top = store.checkout([*chain, diff_id])[0]
        except FastlayerError:
            continue  # a raw layer has no checkout
        if _identity(Path(top)) == identity:
            return diff_id
    return None


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
