"""What uses a store's disk, and giving back what nobody needs.

Images, containers and the records of the build cache are the roots: what none of them needs, and
no lease of a running command, is removed by collection. Knows nothing of how it is shown.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from fastlayer.cache.index import CACHE_FILE, CacheIndex, StepRecord
from fastlayer.cache.policy import cache_budget
from fastlayer.container import lifecycle
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.errors import (
    ConflictError,
    ContainerNotFoundError,
    ImageNotFoundError,
    StoreIOError,
)
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.failed_steps import FailedSteps
from fastlayer.image.image import Image
from fastlayer.image.removal import ImageUse
from fastlayer.store import Collected, Store
from fastlayer.value import Value


class Pruned(Value):
    """What a pruning removed, or would remove; ``freed`` is bytes of disk."""

    freed: int = 0
    containers: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    layers: tuple[str, ...] = ()
    postponed: bool = False
    """Contents stay until the next pruning, since others were making layers all the time."""


class Storage:
    """The disk of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.catalog = ImageCatalog(store)
        self.containers = ContainerRegistry(store.root)

    def records(self) -> list[StepRecord]:
        """The records of the build cache, the last used first.

        None where the file cannot be opened, as on a full disk: space must be given back even so,
        and a layer without its record costs time only.
        """
        try:
            index = CacheIndex(self.store.root / CACHE_FILE)
        except StoreIOError:
            return []
        with contextlib.closing(index):
            return index.records()

    def roots(
        self,
        *,
        without_images: Collection[str] = (),
        without_containers: Collection[str] = (),
        without_steps: Collection[str] = (),
    ) -> list[str]:
        """Digests of all that must stay, were these images, containers and records gone."""
        needed = set(self.catalog.needed(without=without_images))
        for container in self.containers.all():
            if container.identifier not in without_containers:
                needed.update(container.chain())
        needed.update(
            record.diff_id for record in self.records() if record.key not in without_steps
        )
        needed.update(FailedSteps(self.store).needed())
        return sorted(needed)

    def reclaimable(self, **without: Collection[str]) -> Collected:
        """What collection would remove, were some roots gone; see :meth:`roots`."""
        return self.store.collect(lambda: self.roots(**without), dry_run=True)

    def uses(self) -> list[ImageUse]:
        """The containers, as users of images."""
        return [
            ImageUse(container.config.image_id, container.identifier, container.is_running())
            for container in self.containers.all()
        ]

    # Pruning.

    def prune(
        self,
        *,
        containers: Callable[[Container], bool] | None = None,
        images: Callable[[Image], bool] | None = None,
        steps: Iterable[StepRecord] | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove containers, images and records, and then all that nothing needs any more.

        Parameters
        ----------
        containers, images:
            Which ones; a container that runs and an image that a container needs stay. ``None``
            is none.
        steps:
            Records of the build cache; with all of them go the frames that exports left, and the
            trees that failed steps left. ``None`` leaves the cache alone.
        dry_run:
            Whether to tell only what would be removed now.
        """
        stopped = [
            container
            for container in self.containers.all()
            if containers is not None and not container.is_running() and containers(container)
        ]
        leaving = {container.identifier for container in stopped}
        used = {use.image_id for use in self.uses() if use.container_id not in leaving}
        doomed = [
            image
            for image in (self.catalog.list() if images is not None else ())
            if image.id not in used and images is not None and images(image)
        ]
        forgotten = tuple(steps or ())
        whole = steps is not None and len(forgotten) == len(self.records())
        if dry_run:
            return self._foretell(stopped, doomed, forgotten, whole=whole)
        freed, removed = self._remove_containers(stopped)
        untagged, deleted = self._remove_images(doomed)
        keys = {record.key for record in forgotten}
        self._forget(keys)
        if whole:
            FailedSteps(self.store).forget()
        collected = self.store.collect(lambda: self.roots(without_steps=keys), forget_exports=whole)
        return Pruned(
            freed=freed + collected.freed,
            containers=removed,
            untagged=untagged,
            images=deleted,
            steps=forgotten,
            layers=tuple(collected.layers),
            postponed=collected.postponed,
        )

    def old_steps(
        self, *, unused_since: float | None = None, keep_bytes: int | None = None
    ) -> list[StepRecord]:
        """The records to forget.

        Parameters
        ----------
        unused_since:
            Only records that were last used before; seconds since the epoch.
        keep_bytes:
            Keep those last used, as long as their layers, apart from what images and containers
            need, have no more bytes on disk together.
        """
        records = self.records()
        if keep_bytes is not None:
            others = self.roots(without_steps={record.key for record in records})
            groups = [others, *([record.diff_id] for record in records)]
            total = 0
            over = []
            usage = self.store.usage(groups).groups[1:]
            for record, (_, _, added) in zip(records, usage, strict=True):
                total += added
                if total > keep_bytes:
                    over.append(record)
            records = over
        if unused_since is not None:
            records = [record for record in records if record.used < unused_since]
        return records

    def keep_cache_within_budget(self) -> Pruned:
        """Forget the records that were not used for longest, where the cache is too large."""
        steps = self.old_steps(keep_bytes=cache_budget(self.store.root))
        return self.prune(steps=steps) if steps else Pruned()

    # Inside.

    def _forget(self, keys: set[str]) -> None:
        # On a full disk this cannot be written. A record without its layer counts for nothing.
        with contextlib.suppress(StoreIOError):
            if keys:
                with contextlib.closing(CacheIndex(self.store.root / CACHE_FILE)) as index:
                    index.forget(list(keys))

    def _foretell(
        self,
        containers: list[Container],
        images: list[Image],
        steps: tuple[StepRecord, ...],
        *,
        whole: bool,
    ) -> Pruned:
        leaving = {container.identifier for container in containers}
        doomed = {image.id for image in images}
        keys = {record.key for record in steps}
        collected = self.store.collect(
            lambda: self.roots(
                without_containers=leaving, without_images=doomed, without_steps=keys
            ),
            dry_run=True,
            forget_exports=whole,
        )
        return Pruned(
            freed=collected.freed + sum(disk_usage(c.directory) for c in containers),
            containers=tuple(container.identifier for container in containers),
            untagged=tuple(tag for image in images for tag in image.tags),
            images=tuple(image.id for image in images),
            steps=steps,
            layers=tuple(collected.layers),
        )

    def _remove_containers(self, containers: list[Container]) -> tuple[int, tuple[str, ...]]:
        freed = 0
        removed = []
        for container in containers:
            size = disk_usage(container.directory)
            try:
                lifecycle.remove(self.store, container)
            except (ConflictError, ContainerNotFoundError):
                continue  # started or removed meanwhile
            freed += size
            removed.append(container.identifier)
        return freed, tuple(removed)

    def _remove_images(self, images: list[Image]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        untagged: list[str] = []
        deleted: list[str] = []
        for image in images:
            try:
                removal = self.catalog.remove(image.id, force=bool(image.tags), uses=self.uses())
            except (ConflictError, ImageNotFoundError):
                continue  # used or removed meanwhile
            untagged += removal.untagged
            deleted += removal.deleted
        return tuple(untagged), tuple(deleted)


def disk_usage(path: Path) -> int:
    """Bytes of disk that removing a directory gives back: each file whose links are all there."""
    links: dict[tuple[int, int], int] = {}
    total = 0
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            total += folder.lstat().st_blocks * 512
            entries = list(os.scandir(folder))
        except OSError:
            continue  # gone, or not ours to look into
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append(Path(entry.path))
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            identity = status.st_dev, status.st_ino
            links[identity] = links.get(identity, 0) + 1
            if links[identity] == status.st_nlink:
                total += status.st_blocks * 512
    return total
