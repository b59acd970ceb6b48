"""Images from an archive or layout into the store.

Everything small is read and checked first, then the layers go in, then the images get their names:
an archive that lacks a part or has a wrong digest leaves nothing that can be seen.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fastlayer.errors import ArchiveError, ImageNotFoundError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.oci.digest import short
from fastlayer.oci.platform import Platform
from fastlayer.transport.archived_image import ArchivedImage, ArchivedLayer
from fastlayer.transport.damage import reading
from fastlayer.transport.docker_archive import (
    is_docker_archive,
    names_by_config,
    read_docker_archive,
)
from fastlayer.transport.layer_progress import LayerProgress, of_layer
from fastlayer.transport.oci_layout import is_oci_layout, read_oci_layout
from fastlayer.transport.parts import DirectoryParts, Parts, TarParts
from fastlayer.transport.spool import plain_archive


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that came in, and the familiar names it now has from the archive.

    ``warnings`` say what is odd about the archive.
    """

    image: Image
    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def load_path(
    catalog: ImageCatalog,
    path: str | os.PathLike[str],
    *,
    platform: Platform | None = None,
    progress: LayerProgress | None = None,
) -> tuple[LoadedImage, ...]:
    """Load from a file, or from a directory that holds an OCI layout; see :func:`load`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(f"{os.fspath(path)}: {error.strerror}") from error
    try:
        label = os.fspath(path)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            with contextlib.closing(DirectoryParts(Path(path))) as parts:
                return _load(catalog, parts, platform, progress)
        return load(catalog, descriptor, label=label, platform=platform, progress=progress)
    finally:
        os.close(descriptor)


def load(
    catalog: ImageCatalog,
    descriptor: int,
    *,
    label: str = "archive",
    platform: Platform | None = None,
    progress: LayerProgress | None = None,
) -> tuple[LoadedImage, ...]:
    """Load the images of a docker archive or of an OCI layout in a tar.

    Parameters
    ----------
    catalog:
        Where they go.
    descriptor:
        Open for reading at the archive's start; plain or compressed (gzip, zstd, bzip2, xz); a pipe
        will do.
    label:
        What to call the archive in an error.
    platform:
        Which platform of an image for several; this machine's where there is a choice.
    progress:
        Told the bytes read of the layer that is being read.

    Raises
    ------
    ArchiveError
        It is neither kind of archive, or lacks a part.
    CorruptError
        It is truncated, or a digest is wrong.
    DocumentError
        A document breaks its schema.
    ImageNotFoundError
        It has no image for the platform.
    """
    with plain_archive(catalog.store, descriptor, label) as plain:
        return _load(catalog, TarParts(plain, label), platform, progress)


def _load(
    catalog: ImageCatalog, parts: Parts, platform: Platform | None, progress: LayerProgress | None
) -> tuple[LoadedImage, ...]:
    images = _read(parts, platform)
    needed = frozenset(catalog.needed())
    with catalog.store.lease():  # until the refs are written nothing else names the layers
        for image in images:
            for layer in image.layers:
                _import_layer(catalog, parts, layer, needed, progress)
        return tuple(_keep(catalog, image) for image in images)


def _read(parts: Parts, platform: Platform | None) -> tuple[ArchivedImage, ...]:
    if is_oci_layout(parts):
        names = names_by_config(parts) if is_docker_archive(parts) else {}
        return read_oci_layout(parts, platform=platform, names=names)
    if is_docker_archive(parts):
        images = read_docker_archive(parts)
        if not images:
            raise ArchiveError(f"{parts.label}: manifest.json names no image")
        wanted = tuple(i for i in images if not platform or i.config.platform.satisfies(platform))
        if not wanted:
            raise ImageNotFoundError(f"{parts.label}: no image for {platform}")
        return wanted
    if parts.find("repositories") is not None:
        raise ArchiveError(
            f"{parts.label}: a docker archive from before version 1.10, which is not supported",
            hint="load it into a newer docker and save it again",
        )
    raise ArchiveError(
        f"{parts.label}: neither a docker archive (manifest.json) nor an OCI layout (index.json)",
        hint="for a root file system's tar use fastlayer import",
    )


def _import_layer(
    catalog: ImageCatalog,
    parts: Parts,
    layer: ArchivedLayer,
    needed: Collection[str],
    progress: LayerProgress | None,
) -> None:
    store = catalog.store
    # The digest of a plain blob is its DiffID: it is hashed once, and need not be kept.
    digest = None if layer.digest == layer.diff_id else layer.digest
    # A layer that no image needs waits for collection; it does not count as it lies there, or
    # damage would outlive that its image is removed and loaded again.
    known = layer.diff_id in needed and store.has_whole_layer(layer.diff_id)
    if known and (digest is None or store.has_blob(digest)):
        return
    what = f"{parts.label}: layer {layer.part.name} ({short(layer.diff_id)})"
    moved = of_layer(progress, layer.diff_id, layer.part.size)
    with reading(what):
        store.import_blob(
            layer.part.descriptor,
            stretch=(layer.part.offset, layer.part.size),
            digest=digest,
            diff_id=layer.diff_id,
            recheck=not known,
            progress=moved,
        )


def _keep(catalog: ImageCatalog, archived: ArchivedImage) -> LoadedImage:
    for document in archived.other_documents:
        catalog.store.put_document(document)
    image = catalog.create(
        archived.config,
        manifest=archived.manifest,
        names=archived.names,
        digest=archived.digest,
        media_type=archived.media_type,
    )
    names = tuple(name.with_default_tag().familiar for name in archived.names)
    return LoadedImage(image, names, archived.warnings)
