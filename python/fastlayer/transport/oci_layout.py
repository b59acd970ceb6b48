"""OCI image layouts, as a directory or in a tar: ``oci-layout``, ``index.json``, ``blobs/``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fastlayer.errors import ArchiveError, CorruptError, ImageNotFoundError, ReferenceFormatError
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.descriptor import Descriptor
from fastlayer.oci.digest import encoded, sha256_digest
from fastlayer.oci.document import MAXIMUM_BYTES, parse
from fastlayer.oci.index import Index, choose, image_manifests
from fastlayer.oci.manifest import Manifest
from fastlayer.oci.media_type import INDEXES
from fastlayer.oci.platform import Platform, host_platform
from fastlayer.oci.reference import Reference, parse_reference
from fastlayer.transport.archived_image import ArchivedImage, ArchivedLayer, check_layer_count
from fastlayer.transport.parts import Part, Parts, get, read

LAYOUT = "oci-layout"
INDEX = "index.json"
NAME_ANNOTATION = "io.containerd.image.name"
"""The full name; containerd's, docker's and BuildKit's."""
TAG_ANNOTATION = "org.opencontainers.image.ref.name"
"""The specification's: a tag, or with some tools a whole name."""
MAXIMUM_DEPTH = 8
"""Deepest nesting of indexes that is followed."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A manifest, the top entry that led to it, and the indexes between."""

    top: Descriptor
    manifest: Descriptor
    indexes: tuple[bytes, ...] = ()


def is_oci_layout(parts: Parts) -> bool:
    """Whether there is an index of a layout."""
    return parts.find(LAYOUT) is not None and parts.find(INDEX) is not None


def read_oci_layout(
    parts: Parts,
    *,
    platform: Platform | None = None,
    names: Mapping[str, tuple[Reference, ...]] | None = None,
) -> tuple[ArchivedImage, ...]:
    """Read and check the images of a layout; their layers are found but not read.

    Parameters
    ----------
    parts:
        The layout.
    platform:
        Which platform of an image is wanted; this machine's where there is a choice.
    names:
        More names of an image, by the digest of its config (from docker's ``manifest.json``).

    Raises
    ------
    ArchiveError
        A part is missing, or the layout holds no image.
    ImageNotFoundError
        There is no image for the platform.
    CorruptError
        A document does not have its digest.
    DocumentError
        A document breaks its schema.
    """
    layout = parse(read(parts, LAYOUT, MAXIMUM_BYTES), f"{parts.label}: {LAYOUT}")
    version = layout.child("imageLayoutVersion").text()
    if version != "1.0.0":
        raise layout.child("imageLayoutVersion").fail(f"version {version!r} is not supported")
    index = Index.from_json(read(parts, INDEX, MAXIMUM_BYTES), f"{parts.label}: {INDEX}")
    entries = image_manifests(index)
    if not entries:
        raise ArchiveError(f"{parts.label}: {INDEX} names no image")
    images: dict[str, ArchivedImage] = {}
    for group in _by_name(entries):
        for found in _wanted(parts, group, platform):
            image = _read_image(parts, found)
            more = (names or {}).get(image.config.digest, ())
            known = images.get(image.config.digest)
            old = known.names if known else ()
            new = tuple(n for n in (*image.names, *more) if n not in old)
            images[image.config.digest] = replace(image, names=(*old, *dict.fromkeys(new)))
    return tuple(images.values())


def _by_name(entries: Iterable[Descriptor]) -> tuple[tuple[Descriptor, ...], ...]:
    groups: dict[str, list[Descriptor]] = {}
    for entry in entries:
        name = entry.annotations.get(NAME_ANNOTATION) or entry.annotations.get(TAG_ANNOTATION, "")
        groups.setdefault(name, []).append(entry)
    return tuple(tuple(group) for group in groups.values())


def _wanted(
    parts: Parts, group: tuple[Descriptor, ...], platform: Platform | None
) -> tuple[_Found, ...]:
    """Of entries with one name those of the platform; all, where none says a platform."""
    entries = group
    if any(entry.platform for entry in group) and (len(group) > 1 or platform):
        entries = choose(group, platform or host_platform())
        if not entries:
            raise _no_platform(parts, group, platform)
    return tuple(_descend(parts, entry, entry, platform, ()) for entry in entries)


def _descend(
    parts: Parts,
    top: Descriptor,
    entry: Descriptor,
    platform: Platform | None,
    above: tuple[bytes, ...],
) -> _Found:
    if entry.media_type not in INDEXES:
        return _Found(top, entry, above)
    if len(above) >= MAXIMUM_DEPTH:
        raise ArchiveError(f"{parts.label}: indexes are nested deeper than {MAXIMUM_DEPTH}")
    data = _document(parts, entry)
    entries = image_manifests(Index.from_json(data, f"{parts.label}: index {entry.digest}"))
    if len(entries) > 1 or platform:
        fitting = choose(entries, platform or host_platform())
        if not fitting:
            raise _no_platform(parts, entries, platform)
        entries = fitting
    if not entries:
        raise ArchiveError(f"{parts.label}: index {entry.digest} names no image")
    return _descend(parts, top, entries[0], platform, (*above, data))


def _no_platform(
    parts: Parts, entries: tuple[Descriptor, ...], platform: Platform | None
) -> ImageNotFoundError:
    there = ", ".join(str(entry.platform) for entry in entries if entry.platform)
    return ImageNotFoundError(
        f"{parts.label}: no image for {platform or host_platform()}",
        hint=f"it has {there}: choose with --platform",
    )


def _read_image(parts: Parts, found: _Found) -> ArchivedImage:
    label = f"{parts.label}: manifest {found.manifest.digest}"
    manifest = Manifest.from_json(_document(parts, found.manifest), label, allow_no_layers=True)
    config = ImageConfig.from_json(
        _document(parts, manifest.config), f"{parts.label}: config {manifest.config.digest}"
    )
    check_layer_count(label, config, len(manifest.layers))
    layers = tuple(
        ArchivedLayer(part=_layer(parts, layer), diff_id=diff_id, digest=layer.digest)
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
    )
    return ArchivedImage(
        config=config,
        layers=layers,
        names=_names(parts, found.top),
        manifest=manifest,
        digest=found.top.digest,
        media_type=found.top.media_type,
        other_documents=found.indexes,
        warnings=_platform_warnings(label, found.manifest, config),
    )


def _platform_warnings(label: str, descriptor: Descriptor, config: ImageConfig) -> tuple[str, ...]:
    """What to tell where an index says of an image what its config does not. The config counts:
    it is what the image's id covers, and some images have long been published so."""
    said = descriptor.platform
    meant = config.platform
    if said is None or not meant.os or not meant.architecture:
        return ()
    ours, theirs = meant.normalised(), said.normalised()
    if (ours.os, ours.architecture) == (theirs.os, theirs.architecture):
        return ()
    return (f"{label}: its index says {said}, its config {meant}",)


def _blob_name(descriptor: Descriptor) -> str:
    return "blobs/" + descriptor.digest.replace(":", "/")


def _document(parts: Parts, descriptor: Descriptor) -> bytes:
    if not descriptor.digest.startswith("sha256:"):
        raise ArchiveError(f"{parts.label}: {descriptor.digest}: only sha256 is supported")
    data = read(parts, _blob_name(descriptor), MAXIMUM_BYTES)
    if len(data) != descriptor.size or sha256_digest(data) != descriptor.digest:
        raise CorruptError(
            f"{parts.label}: {_blob_name(descriptor)} does not have its digest and size",
            hint="make the archive again",
        )
    return data


def _layer(parts: Parts, descriptor: Descriptor) -> Part:
    if "tar" not in descriptor.media_type or "encrypted" in descriptor.media_type:
        raise ArchiveError(
            f"{parts.label}: {descriptor.media_type} is not a layer of files: "
            f"{encoded(descriptor.digest)[:12]}"
        )
    if not descriptor.digest.startswith("sha256:"):
        raise ArchiveError(f"{parts.label}: {descriptor.digest}: only sha256 is supported")
    part = get(parts, _blob_name(descriptor))
    if part.size != descriptor.size:
        raise CorruptError(
            f"{parts.label}: {part.name} has {part.size} bytes, its descriptor says "
            f"{descriptor.size}",
            hint="make the archive again",
        )
    return part


def _names(parts: Parts, entry: Descriptor) -> tuple[Reference, ...]:
    text = entry.annotations.get(NAME_ANNOTATION, "")
    if not text:
        text = entry.annotations.get(TAG_ANNOTATION, "")
        if text == "latest":  # a tag alone: the layout does not say of what
            return ()
    if not text:
        return ()
    try:
        return (parse_reference(text).with_default_tag(),)
    except ReferenceFormatError as error:
        raise ArchiveError(f"{parts.label}: {INDEX}: {error}") from error
