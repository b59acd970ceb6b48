"""What uses a store's disk, and giving back what nobody needs.

Images, containers and the records of the build cache are the roots: what none of them needs, and
no lease of a running command, is removed by collection. Knows nothing of how it is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence

from fastlayer.builder.cache_choice import CacheChoice, CacheContents, CacheFilter, beyond
from fastlayer.cache.index import CACHE_FILE, CacheIndex, StepRecord
from fastlayer.cache.kept_files import KeptFile, KeptFiles
from fastlayer.cache.mounts import CacheMountRecord, CacheMounts
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
from fastlayer.store import Collected, Store, disk_usage
from fastlayer.value import Value, replace


class Pruned(Value):
    """What a pruning removed, or would remove; ``freed`` is bytes of disk."""

    freed: int = 0
    containers: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    cache: CacheContents = CacheContents()
    layers: tuple[str, ...] = ()
    postponed: bool = False
    """Contents stay until the next pruning, since others were making layers all the time."""


class Storage:
    """The disk of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.catalog = ImageCatalog(store)
        self.containers = ContainerRegistry(store.root)
        self._mounts = CacheMounts(store.root)
        self._files = KeptFiles(store.root)

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
        failed_steps: bool = True,
    ) -> list[str]:
        """Digests of all that must stay, were these images, containers and records gone.

        ``failed_steps`` is whether the trees count that failed steps left.
        """
        needed = set(self.catalog.needed(without=without_images))
        for container in self.containers.all():
            if container.identifier not in without_containers:
                needed.update(container.layers_needed())
        needed.update(
            record.diff_id for record in self.records() if record.key not in without_steps
        )
        if failed_steps:
            needed.update(FailedSteps(self.store).needed())
        return sorted(needed)

    def reclaimable(
        self,
        *,
        without_images: Collection[str] = (),
        without_containers: Collection[str] = (),
        without_steps: Collection[str] = (),
        leftovers: bool = False,
    ) -> Collected:
        """What collection would remove, were some roots gone; see :meth:`roots`.

        ``leftovers`` means what saves and failed steps left as well.
        """
        return self.store.collect(
            lambda: self.roots(
                without_images=without_images,
                without_containers=without_containers,
                without_steps=without_steps,
                failed_steps=not leftovers,
            ),
            dry_run=True,
            forget_exports=leftovers,
        )

    def uses(self) -> list[ImageUse]:
        """The containers, as users of images."""
        return [
            ImageUse(container.config.image_id, container.identifier, container.is_running())
            for container in self.containers.all()
        ]

    # Pruning.

    def cache_contents(self) -> CacheContents:
        """What the build cache holds now."""
        return CacheContents(
            steps=tuple(self.records()),
            mounts=tuple(self._mounts.records()),
            files=tuple(self._files.records()),
        )

    def choose(
        self,
        wanted: CacheFilter | None = None,
        *,
        keep_bytes: int | None = None,
        everything: bool = True,
        found: CacheContents | None = None,
    ) -> CacheChoice:
        """What of the build cache is to go; cache mounts in use are not.

        Parameters
        ----------
        wanted:
            What may go; all of it for ``None``.
        keep_bytes:
            Keep those last used, as long as their layers, apart from what images and containers
            need, and their files have no more bytes on disk together.
        everything:
            Whether stat caches of contexts and servers' answers may go though no filter asks for
            their types or keys.
        found:
            What :meth:`cache_contents` gave, by whoever has asked already.
        """
        if found is None:
            found = self.cache_contents()
        contents = (wanted or CacheFilter()).apply(found)
        if not everything and not (wanted and (wanted.types or wanted.keys)):
            contents = replace(contents, files=())
        if keep_bytes is not None:
            contents = beyond(contents, self._added(contents.steps), keep_bytes)
        idle = tuple(mount for mount in contents.mounts if not mount.in_use)
        whole = wanted is None and len(contents.steps) == len(found.steps)
        if keep_bytes is not None and not contents.steps:
            whole = False
        return CacheChoice(replace(contents, mounts=idle), leftovers=whole)

    def prune(
        self,
        *,
        containers: Callable[[Container], bool] | None = None,
        images: Callable[[Image], bool] | None = None,
        cache: CacheChoice | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove containers, images and parts of the cache, and then all that nothing needs.

        Parameters
        ----------
        containers, images:
            Which ones; a container that runs and an image that a container needs stay. ``None``
            is none.
        cache:
            See :meth:`choose`; ``None`` leaves the cache alone.
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
        cache = cache or CacheChoice()
        if dry_run:
            return self._foretell(stopped, doomed, cache)
        freed, removed = self._remove_containers(stopped)
        of_images, untagged, deleted = self._remove_images(doomed)
        of_cache, mounts, files = self._remove_cache(cache)
        collected = self.store.collect(
            lambda: self.roots(without_steps=cache.keys), forget_exports=cache.leftovers
        )
        return Pruned(
            freed=freed + of_images + of_cache + collected.freed,
            containers=removed,
            untagged=untagged,
            images=deleted,
            cache=CacheContents(cache.contents.steps, mounts, files),
            layers=tuple(collected.layers),
            postponed=collected.postponed,
        )

    def keep_cache_within_budget(self) -> Pruned:
        """Remove what was not used for longest from the cache, where it is too large."""
        choice = self.choose(keep_bytes=cache_budget(self.store.root), everything=False)
        return self.prune(cache=choice) if choice else Pruned()

    # Inside.

    def _added(self, steps: Sequence[StepRecord]) -> dict[str, int]:
        """The bytes on disk that keeping each step takes, when those before it are kept."""
        others = self.roots(without_steps={record.key for record in steps})
        usage = self.store.usage([others, *([record.diff_id] for record in steps)]).groups[1:]
        return {record.key: one.added for record, one in zip(steps, usage, strict=True)}

    def _foretell(
        self, containers: list[Container], images: list[Image], cache: CacheChoice
    ) -> Pruned:
        doomed = {image.id for image in images}
        failed = FailedSteps(self.store)
        collected = self.reclaimable(
            without_containers={container.identifier for container in containers},
            without_images=doomed,
            without_steps=cache.keys,
            leftovers=cache.leftovers,
        )
        contents = cache.contents
        freed = collected.freed + self.catalog.record_usage(doomed)
        freed += sum(disk_usage(container.directory) for container in containers)
        return Pruned(
            freed=freed + contents.own_size + (failed.size() if cache.leftovers else 0),
            containers=tuple(container.identifier for container in containers),
            untagged=tuple(tag for image in images for tag in image.tags),
            images=tuple(image.id for image in images),
            cache=contents,
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

    def _remove_images(self, images: list[Image]) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        freed = 0
        untagged: list[str] = []
        deleted: list[str] = []
        for image in images:
            size = self.catalog.record_usage({image.id})
            try:
                removal = self.catalog.remove(image.id, force=bool(image.tags), uses=self.uses())
            except (ConflictError, ImageNotFoundError):
                continue  # used or removed meanwhile
            freed += size
            untagged += removal.untagged
            deleted += removal.deleted
        return freed, tuple(untagged), tuple(deleted)

    def _remove_cache(
        self, cache: CacheChoice
    ) -> tuple[int, tuple[CacheMountRecord, ...], tuple[KeptFile, ...]]:
        freed = 0
        # On a full disk this cannot be written. A record without its layer counts for nothing.
        with contextlib.suppress(StoreIOError):
            if cache.keys:
                with contextlib.closing(CacheIndex(self.store.root / CACHE_FILE)) as index:
                    index.forget(list(cache.keys))
        if cache.leftovers:
            freed += FailedSteps(self.store).forget()
        mounts = []
        for mount in cache.contents.mounts:
            size = self._mounts.remove(mount.key)
            if size is not None:  # not in use since
                freed += size
                mounts.append(mount)
        freed += sum(self._files.remove(file) for file in cache.contents.files)
        return freed, tuple(mounts), cache.contents.files
