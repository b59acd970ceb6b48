"""Where the bytes of a store are: by image, layer, container and step of the build cache.

Bytes are those of the disk, as ``du`` counts them. *Unique* bytes are needed by one thing of its
kind alone, *shared* ones by several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fastlayer.builder.cache_choice import MOUNT, STEP, CacheContents, CacheFilter
from fastlayer.builder.storage import Storage
from fastlayer.container.registry import Container
from fastlayer.image.failed_steps import FailedSteps
from fastlayer.image.image import Image
from fastlayer.store import Usage, disk_usage
from fastlayer.value import Value

_WORDS = {"source.local": "what is known of a context's files", "source.http": "a server's answer"}


class ImageUsage(Value, kw_only=False):
    """The disk of an image; ``containers`` is how many need it, ``reclaimable`` what is given back
    when this image alone is removed, everything else staying."""

    image: Image
    unique: int
    shared: int
    reclaimable: int
    containers: int


class LayerUsage(Value, kw_only=False):
    """The disk of a layer; ``size`` is that of its tar, ``images`` how many need it.

    ``reclaimable`` is what is given back with it: nothing as long as an image or a container needs
    it."""

    diff_id: str
    size: int
    unique: int
    shared: int
    reclaimable: int
    images: int


class ContainerUsage(Value, kw_only=False):
    """The disk of a container's own files."""

    container: Container
    running: bool
    size: int


class CacheLine(Value, kw_only=False):
    """One thing in the build cache, to be listed; ``size`` is bytes of disk."""

    key: str
    kind: str
    size: int
    used: float
    description: str


class Share(Value, kw_only=False):
    """One kind of thing: how many, how many of them in use, and bytes of disk."""

    total: int
    active: int
    size: int
    reclaimable: int


class DiskUsage(Value, kw_only=False):
    """All of it; ``places`` has the total by the directories of the store. ``layers_plain`` is what
    the layers of all images were as plain tars, each image on its own; ``layers_stored`` what they
    are on disk, without ``layers_derived``: what was made of them and can be made again."""

    total: int
    places: Mapping[str, int]
    unreferenced: int
    layers_plain: int
    layers_stored: int
    layers_derived: int
    images: tuple[ImageUsage, ...]
    layers: tuple[LayerUsage, ...]
    containers: tuple[ContainerUsage, ...]
    cache_lines: tuple[CacheLine, ...]
    image_share: Share
    container_share: Share
    cache_share: Share

    @property
    def ratio(self) -> float:
        """How many times smaller the images' layers are than their tars."""
        return self.layers_plain / self.layers_stored if self.layers_stored else 1.0


def measure(storage: Storage) -> DiskUsage:
    """Measure a store.

    Raises
    ------
    CorruptError
        A layer or image is damaged.
    """
    images = storage.catalog.list()
    containers = tuple(
        ContainerUsage(container, container.is_running(), disk_usage(container.directory))
        for container in storage.containers.all()
    )
    users = Counter(usage.container.config.image_id for usage in containers)
    garbage = storage.reclaimable().freed
    of_images = storage.store.usage([[x for image in images for x in _digests(image)]]).groups[0]
    refs = sum(storage.catalog.record_usage({image.id}) for image in images)
    idle = {image.id for image in images if not users[image.id]}
    cache = storage.cache_contents()
    whole = storage.store.usage([[record.diff_id for record in cache.steps]])
    return DiskUsage(
        total=whole.total,
        places=whole.places,
        unreferenced=garbage,
        layers_plain=sum(_plain(storage, diff_id) for image in images for diff_id in image.chain),
        layers_stored=of_images.unique - of_images.derived,
        layers_derived=of_images.derived,
        images=_images(storage, images, containers, cache),
        layers=_layers(storage, images, containers),
        containers=containers,
        cache_lines=_lines(storage, cache)[0],
        image_share=Share(
            len(images),
            len(images) - len(idle),
            of_images.unique + refs,
            storage.prune(images=lambda image: True, dry_run=True).freed - garbage,
        ),
        container_share=Share(
            len(containers),
            sum(usage.running for usage in containers),
            sum(usage.size for usage in containers),
            storage.prune(containers=lambda container: True, dry_run=True).freed - garbage,
        ),
        cache_share=_cache_share(storage, cache, whole, garbage),
    )


def cache_lines(
    storage: Storage, wanted: CacheFilter | None = None
) -> tuple[tuple[CacheLine, ...], int]:
    """What is in the build cache, the last used first, and the bytes of disk of all together.

    A step's size is that of its layer, which images and other steps may need as well; the sum
    counts each byte once.
    """
    return _lines(storage, (wanted or CacheFilter()).apply(storage.cache_contents()))


def _lines(storage: Storage, contents: CacheContents) -> tuple[tuple[CacheLine, ...], int]:
    groups = storage.store.usage([[record.diff_id] for record in contents.steps]).groups
    lines = [
        CacheLine(record.key, STEP, one.unique + one.shared, record.used, record.description)
        for record, one in zip(contents.steps, groups, strict=True)
    ]
    for mount in contents.mounts:
        state = ", in use" if mount.in_use else ""
        text = f"cache mount {mount.identity}{state}"
        lines.append(CacheLine(mount.key, MOUNT, mount.size, mount.used, text))
    for file in contents.files:
        lines.append(CacheLine(file.key, file.kind, file.size, file.used, _WORDS[file.kind]))
    total = sum(one.added for one in groups) + contents.own_size
    return tuple(sorted(lines, key=lambda line: -line.used)), total


def _cache_share(storage: Storage, cache: CacheContents, whole: Usage, garbage: int) -> Share:
    """The layers of the steps, and all that lies in the store's directory of caches."""
    layers = whole.groups[0]
    return Share(
        total=len(cache.steps) + len(cache.mounts) + len(cache.files),
        active=sum(mount.in_use for mount in cache.mounts),
        size=layers.unique + layers.shared - layers.exports + whole.places.get("cache", 0),
        reclaimable=storage.prune(cache=storage.choose(found=cache), dry_run=True).freed - garbage,
    )


def _images(
    storage: Storage,
    images: tuple[Image, ...],
    containers: Sequence[ContainerUsage],
    cache: CacheContents,
) -> tuple[ImageUsage, ...]:
    groups = [_digests(image) for image in images]
    found = storage.store.usage(groups).groups
    # Whatever else keeps a layer from being given back, each a group of its own.
    groups += [list(usage.container.layers_needed()) for usage in containers]
    groups += [[record.diff_id] for record in cache.steps]
    groups.append(sorted(FailedSteps(storage.store).needed()))
    alone = storage.store.usage(groups).groups
    users = Counter(usage.container.config.image_id for usage in containers)
    usage = []
    for image, among_images, among_all in zip(images, found, alone[: len(images)], strict=True):
        refs = storage.catalog.record_usage({image.id})
        unique, shared = among_images.unique + refs, among_images.shared
        reclaimable = 0 if users[image.id] else among_all.unique + refs
        usage.append(ImageUsage(image, unique, shared, reclaimable, users[image.id]))
    return tuple(usage)


def _layers(
    storage: Storage, images: tuple[Image, ...], containers: Sequence[ContainerUsage]
) -> tuple[LayerUsage, ...]:
    needed = Counter(diff_id for image in images for diff_id in set(image.chain))
    held = {diff_id for usage in containers for diff_id in usage.container.layers_needed()}
    layers = storage.store.layers()
    found = storage.store.usage([[diff_id] for diff_id in layers]).groups
    return tuple(
        LayerUsage(
            diff_id,
            _plain(storage, diff_id),
            one.unique,
            one.shared,
            0 if needed[diff_id] or diff_id in held else one.unique,
            needed[diff_id],
        )
        for diff_id, one in zip(layers, found, strict=True)
    )


def _plain(storage: Storage, diff_id: str) -> int:
    layer = storage.store.layer(diff_id)
    return 0 if layer is None else layer.size


def _digests(image: Image) -> list[str]:
    manifest = image.manifest
    blobs = () if manifest is None else (manifest.digest, *(x.digest for x in manifest.layers))
    return [image.id, *image.chain, *blobs]
