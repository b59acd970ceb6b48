"""Makes an image of a container: its layers, what it changed, and its settings.

A container that does not run gives its upper away: it becomes a layer, and the container goes on
with an empty upper above it. One that runs is paused while its files are copied. Volumes and
bind mounts are not in the upper, so they are in no image.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastlayer.container.adoption import adopt_upper, finish_adoption
from fastlayer.container.document import timestamp
from fastlayer.container.drivers import RUNTIMES
from fastlayer.container.drivers.runc import find_runtime
from fastlayer.container.launch import SANDBOX_MARK
from fastlayer.container.lifecycle import recover
from fastlayer.container.registry import Container
from fastlayer.container.state import AdoptedLayer
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.change import apply_changes
from fastlayer.image.image import Image
from fastlayer.oci import mutate
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.reference import parse_reference
from fastlayer.store import LayerInfo, Store
from fastlayer.value import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """What ``commit`` was asked for.

    Parameters
    ----------
    name:
        The image's name, empty for none.
    message, author:
        For the history; the author is the image's, too.
    changes:
        Dockerfile instructions, as ``CMD ["sh"]``.
    pause:
        Whether a running container is frozen meanwhile.
    """

    name: str = ""
    message: str = ""
    author: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True


def commit(store: Store, container: Container, request: CommitRequest) -> Image:
    """Make an image of a container; everything is durable when it returns.

    Raises
    ------
    ReferenceFormatError, UsageError, DockerfileError
        The name or a change is wrong; nothing has happened then.
    StoreError
        The changes cannot be kept (full disk, a file named like a whiteout).
    ContainerError
        It cannot be paused.
    """
    with store.lease():  # until the ref is written nothing else names the layers
        return _commit(store, container, request)


def _commit(store: Store, container: Container, request: CommitRequest) -> Image:
    reference = parse_reference(request.name) if request.name else None
    base = container.config.image_config()
    apply_changes(base, request.changes)  # what is wrong with them is said before anything is done
    entry = HistoryEntry(
        created=timestamp(),
        created_by=" ".join(base.config.cmd or ()),
        author=request.author,
        comment=request.message,
    )
    lock = container.try_lock()
    if lock is None:
        adopted, layer = _adopted(container), _copy_running(store, container, request.pause)
        config = _with_layer(store, _with_adopted(base, adopted), layer, entry)
    else:
        try:
            config = _commit_stopped(store, container, base, entry)
        finally:
            os.close(lock)
    if request.author:
        config = mutate.with_author(config, request.author)
    config = mutate.with_created(apply_changes(config, request.changes), entry.created)
    return ImageCatalog(store).create(config, names=() if reference is None else (reference,))


def _commit_stopped(
    store: Store, container: Container, base: ImageConfig, entry: HistoryEntry
) -> ImageConfig:
    """Turn the upper into a layer of the container; the caller holds its lock."""
    recover(store, container)
    finish_adoption(container)
    below = _with_adopted(base, _adopted(container))
    layer = adopt_upper(store, container, entry.to_value())
    return _with_layer(store, below, layer, entry)


def _copy_running(store: Store, container: Container, pause: bool) -> LayerInfo:
    chain = container.chain()
    if not pause:
        return store.diff_upper(chain, str(container.upper), adopt=False)
    with _paused(store, container):
        return store.diff_upper(chain, str(container.upper), adopt=False)


@contextlib.contextmanager
def _paused(store: Store, container: Container) -> Iterator[None]:
    if (container.run / SANDBOX_MARK).exists():
        from fastlayer.container.freezer import frozen

        with frozen(container.state().pid):
            yield
        return
    driver = find_runtime(store.root / "runtime", RUNTIMES)
    driver.pause(container.identifier)
    try:
        yield
    finally:
        driver.resume(container.identifier)


def _adopted(container: Container) -> Sequence[AdoptedLayer]:
    return container.state().layers


def _with_adopted(config: ImageConfig, layers: Sequence[AdoptedLayer]) -> ImageConfig:
    """The config with the layers of earlier commits, each with the history it had then."""
    for layer in layers:
        history = HistoryEntry(
            created=str(layer.history.get("created", "")),
            created_by=str(layer.history.get("created_by", "")),
            author=str(layer.history.get("author", "")),
            comment=str(layer.history.get("comment", "")),
        )
        config = mutate.append_layer(config, layer.diff_id, history)
    return config


def _with_layer(
    store: Store, config: ImageConfig, layer: LayerInfo, entry: HistoryEntry
) -> ImageConfig:
    if layer.diff_id == store.empty_layer().diff_id:
        return mutate.append_history(config, replace(entry, empty_layer=True))
    return mutate.append_layer(config, layer.diff_id, entry)
