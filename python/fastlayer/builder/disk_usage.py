"""Where the bytes of a store are: by image, layer, container and step of the build cache.

Bytes are those of the disk, as ``du`` counts them. *Unique* bytes are needed by one thing of its
kind alone, *shared* ones by several.
"""

from __future__ import annotations

from collections import Counter

from fastlayer.builder.storage import Storage, disk_usage
from fastlayer.cache.index import StepRecord
from fastlayer.container.registry import Container
from fastlayer.image.image import Image
from fastlayer.value import Value


class ImageUsage(Value, kw_only=False):
    """The disk of an image; ``containers`` is how many need it."""

    image: Image
    unique: int
    shared: int
    containers: int


class LayerUsage(Value, kw_only=False):
    """The disk of a layer; ``size`` is that of its tar, ``images`` how many need it."""

    diff_id: str
    size: int
    unique: int
    shared: int
    images: int


class ContainerUsage(Value, kw_only=False):
    """The disk of a container's own files."""

    container: Container
    running: bool
    size: int


class Share(Value, kw_only=False):
    """One kind of thing: how many, how many of them in use, and bytes of disk."""

    total: int
    active: int
    size: int
    reclaimable: int


class DiskUsage(Value, kw_only=False):
    """All of it. ``layers_plain`` is what the layers of all images were as plain tars, each image
    on its own; ``layers_stored`` what they are on disk."""

    total: int
    unreferenced: int
    layers_plain: int
    layers_stored: int
    images: tuple[ImageUsage, ...]
    layers: tuple[LayerUsage, ...]
    containers: tuple[ContainerUsage, ...]
    steps: tuple[StepRecord, ...]
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
    records = storage.records()
    containers = tuple(
        ContainerUsage(container, container.is_running(), disk_usage(container.directory))
        for container in storage.containers.all()
    )
    users = Counter(usage.container.config.image_id for usage in containers)
    garbage = storage.reclaimable().freed
    image_usage, stored = _images(storage, images, users)
    idle = {image.id for image in images if not users[image.id]}
    keys = {record.key for record in records}
    cache_size = storage.store.usage([[record.diff_id for record in records]])
    return DiskUsage(
        total=cache_size.total,
        unreferenced=garbage,
        layers_plain=sum(_plain(storage, diff_id) for image in images for diff_id in image.chain),
        layers_stored=stored,
        images=image_usage,
        layers=_layers(storage, images),
        containers=containers,
        steps=tuple(records),
        image_share=Share(
            len(images),
            len(images) - len(idle),
            stored,
            storage.reclaimable(without_images=idle).freed - garbage,
        ),
        container_share=Share(
            len(containers),
            sum(usage.running for usage in containers),
            sum(usage.size for usage in containers),
            sum(usage.size for usage in containers if not usage.running),
        ),
        cache_share=Share(
            len(records),
            0,
            sum(cache_size.groups[0][:2]),
            storage.reclaimable(without_steps=keys).freed - garbage,
        ),
    )


def _images(
    storage: Storage, images: tuple[Image, ...], users: Counter[str]
) -> tuple[tuple[ImageUsage, ...], int]:
    groups = [_digests(image) for image in images]
    found = storage.store.usage(groups).groups
    usage = tuple(
        ImageUsage(image, unique, shared, users[image.id])
        for image, (unique, shared, _) in zip(images, found, strict=True)
    )
    return usage, sum(added for _, _, added in found)


def _layers(storage: Storage, images: tuple[Image, ...]) -> tuple[LayerUsage, ...]:
    needed = Counter(diff_id for image in images for diff_id in set(image.chain))
    layers = storage.store.layers()
    found = storage.store.usage([[diff_id] for diff_id in layers]).groups
    return tuple(
        LayerUsage(diff_id, _plain(storage, diff_id), unique, shared, needed[diff_id])
        for diff_id, (unique, shared, _) in zip(layers, found, strict=True)
    )


def _plain(storage: Storage, diff_id: str) -> int:
    layer = storage.store.layer(diff_id)
    return 0 if layer is None else layer.size


def _digests(image: Image) -> list[str]:
    manifest = image.manifest
    blobs = () if manifest is None else (manifest.digest, *(x.digest for x in manifest.layers))
    return [image.id, *image.chain, *blobs]
