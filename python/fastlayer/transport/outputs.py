"""One image written in one of the forms that ``build --output`` and ``save`` know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fastlayer.errors import StoreIOError, UsageError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.oci.media_type import Family
from fastlayer.oci.reference import Reference
from fastlayer.store import Progress
from fastlayer.transport.layer_progress import LayerProgress
from fastlayer.transport.output_file import new_file
from fastlayer.transport.save import SaveOptions, SaveReport, save
from fastlayer.transport.selection import Selection

KINDS = ("oci", "docker", "tar", "local")
"""``oci``: a layout in a tar. ``docker``: what ``docker load`` reads. ``tar``: the merged root file
system. ``local``: the same as plain files."""


def write_image(
    catalog: ImageCatalog,
    image: Image,
    *,
    kind: str,
    destination: str | os.PathLike[str] | int,
    names: tuple[Reference, ...] = (),
    codec: str | None = None,
    level: int | None = None,
    annotations: Mapping[str, str] | None = None,
    progress: LayerProgress | None = None,
) -> SaveReport:
    """Write an image.

    Parameters
    ----------
    catalog:
        Where it is.
    image:
        The image.
    kind:
        One of :data:`KINDS`.
    destination:
        A file's path, or a file descriptor; for ``local`` a directory, made where it is missing.
    names:
        The names it gets in an ``oci`` or ``docker`` archive.
    codec, level:
        Of its layers there: ``gzip`` (default), ``zstd``, ``zstd:chunked`` (``oci`` only) or
        ``none``; level None is the codec's default.
    annotations:
        Of the manifest; ``oci`` only has one that may have some.

    progress:
        Told how far it is: of archives a layer at a time, else of all files; their name is the
        kind's then.

    Raises
    ------
    UsageError
        An unknown kind or codec, or one that does not fit the other.
    StoreIOError
        The destination cannot be written.
    """
    _check(kind, codec)
    if kind == "local":
        if isinstance(destination, int):
            raise UsageError("output type local needs a directory")
        return _write_directory(catalog, image, Path(destination), _of_files(kind, progress))
    options = SaveOptions(
        codec=codec or "gzip",
        level=level,
        family=Family.DOCKER if kind == "docker" else Family.OCI,
        docker_files=kind == "docker",
        annotations=dict(annotations or {}) if kind == "oci" else {},
    )
    if isinstance(destination, int):
        return _write_stream(catalog, image, kind, destination, names, options, progress)
    with new_file(Path(destination)) as descriptor:
        return _write_stream(catalog, image, kind, descriptor, names, options, progress)


def _check(kind: str, codec: str | None) -> None:
    if kind not in KINDS:
        raise UsageError(f"unknown output type {kind!r}", hint=f"one of {', '.join(KINDS)}")
    if kind in {"tar", "local"} and codec is not None:
        raise UsageError(f"output type {kind} has no layers to compress with {codec}")


def _write_stream(
    catalog: ImageCatalog,
    image: Image,
    kind: str,
    descriptor: int,
    names: tuple[Reference, ...],
    options: SaveOptions,
    progress: LayerProgress | None,
) -> SaveReport:
    if kind == "tar":
        moved = _of_files(kind, progress)
        catalog.store.write_tree_tar(image.chain, descriptor, progress=moved)
        return SaveReport()
    return save(catalog, (Selection(image, names),), descriptor, options, progress=progress)


def _of_files(kind: str, progress: LayerProgress | None) -> Progress | None:
    if progress is None:
        return None

    def moved(done: int, total: int) -> None:
        progress(kind, done, total)

    return moved


def _write_directory(
    catalog: ImageCatalog, image: Image, destination: Path, moved: Progress | None
) -> SaveReport:
    try:
        destination.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreIOError(f"{destination}: {error.strerror}", errno=error.errno) from error
    catalog.store.write_tree(image.chain, str(destination), progress=moved)
    return SaveReport()
