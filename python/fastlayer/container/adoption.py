"""A stopped container's upper becomes a layer, whatever moment the machine stops at.

The layer gets copies (reflinks where the file system has them) and is on disk before the container
knows of it. The container's own files are never linked to the store's: a commit that fails in the
middle leaves an upper that its container goes on writing to. Then the state names the layer, and
last the upper is put away. An upper that stays behind over its own layer changes nothing, so no
moment in between needs to be undone or finished.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from fastlayer.container import document, rootfs
from fastlayer.container.registry import Container
from fastlayer.container.state import AdoptedLayer
from fastlayer.errors import StoreIOError
from fastlayer.store import LayerInfo, Store, discard_tree

_OTHER = "other-upper"
"""Where the new upper is made and the old one goes, in the container's directory. They change
places at once: an opaque directory that has lost its children would hide those of the layer."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


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
        The layer cannot be made; the container is as it was.
    """
    layer = store.diff_upper(container.chain(), str(container.upper), adopt=False)
    if layer.diff_id == store.empty_layer().diff_id:
        return layer
    store.sync()
    adopted = AdoptedLayer(diff_id=layer.diff_id, history=history)
    container.write_state(container.state().adopted(adopted))
    _replace_upper(store, container)
    return layer


def finish_adoption(container: Container) -> None:
    """Remove what a killed commit left behind; the caller holds the container's lock."""
    discard_tree(container.directory / _OTHER)


def _replace_upper(store: Store, container: Container) -> None:
    """Put an empty upper in the place of the old one."""
    other = container.directory / _OTHER
    discard_tree(other)
    other.mkdir(mode=0o700)
    _exchange(rootfs.make_upper(store, container.chain(), other), container.upper)
    document.sync_directory(container.directory)
    discard_tree(other)


def _exchange(one: Path, another: Path) -> None:
    """Let two paths of one file system change places in one step.

    Raises
    ------
    StoreIOError
        The kernel or the file system refuses it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(another))
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise StoreIOError(
            f"cannot exchange {one} and {another}: {os.strerror(number)}", errno=number
        )
