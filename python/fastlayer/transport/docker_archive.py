"""docker's archives: ``manifest.json`` and what it points at.

Both forms: up to version 24 each layer is ``<id>/layer.tar``, often a link to another's; from 25 on
config and layers are blobs of an OCI layout. Other tools (podman, skopeo, BuildKit) write either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastlayer.errors import ArchiveError, CorruptError, ReferenceFormatError
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.digest import sha256_digest
from fastlayer.oci.document import MAXIMUM_BYTES, Node, parse
from fastlayer.oci.reference import Reference, parse_reference
from fastlayer.transport.archived_image import ArchivedImage, ArchivedLayer, check_layer_count
from fastlayer.transport.parts import Parts, get, read

MANIFEST = "manifest.json"
_CONFIG_NAME = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?")
_BLOB_NAME = re.compile(r"blobs/sha256/([0-9a-f]{64})")


def is_docker_archive(parts: Parts) -> bool:
    """Whether there is a ``manifest.json``."""
    return parts.find(MANIFEST) is not None


def read_docker_archive(parts: Parts) -> tuple[ArchivedImage, ...]:
    """Read and check the images of an archive; their layers are found but not read.

    Raises
    ------
    ArchiveError
        A part is missing.
    CorruptError
        A part does not have the digest it is named by.
    DocumentError
        A document breaks its schema.
    """
    return tuple(_read_image(parts, entry) for entry in _entries(parts))


def names_by_config(parts: Parts) -> dict[str, tuple[Reference, ...]]:
    """The names of each image of a version 25 archive, by the digest of its config."""
    names: dict[str, tuple[Reference, ...]] = {}
    for entry in _entries(parts):
        match = _CONFIG_NAME.fullmatch(entry.child("Config").text())
        if match:
            names[f"sha256:{match[1]}"] = _names(entry)
    return names


def _entries(parts: Parts) -> Iterator[Node]:
    """The images that the manifest lists, one after the other: there may be millions."""
    document = f"{parts.label}: {MANIFEST}"
    return parse(read(parts, MANIFEST, MAXIMUM_BYTES), document, array=True).items()


def _read_image(parts: Parts, entry: Node) -> ArchivedImage:
    name = entry.child("Config").text()
    data = read(parts, name, MAXIMUM_BYTES)
    digest = sha256_digest(data)
    warnings: tuple[str, ...] = ()
    match = _CONFIG_NAME.fullmatch(name)
    if match and digest != f"sha256:{match[1]}":
        if _BLOB_NAME.fullmatch(name):
            raise CorruptError(
                f"{parts.label}: {name} has the digest {digest}", hint="make the archive again"
            )
        # Docker takes any name there, and archives that were edited by hand are about.
        warnings = (f"{name} was changed: its digest is {digest}",)
    config = ImageConfig.from_json(data, f"{parts.label}: {name}")
    files = entry.texts("Layers")
    check_layer_count(f"{parts.label}: {name}", config, len(files))
    layers = []
    for file, diff_id in zip(files, config.diff_ids, strict=True):
        blob = _BLOB_NAME.fullmatch(file)
        layers.append(
            ArchivedLayer(
                part=get(parts, file),
                diff_id=diff_id,
                digest=f"sha256:{blob[1]}" if blob else None,
            )
        )
    return ArchivedImage(
        config=config, layers=tuple(layers), names=_names(entry), warnings=warnings
    )


def _names(entry: Node) -> tuple[Reference, ...]:
    names = []
    for text in entry.texts("RepoTags"):
        try:
            names.append(parse_reference(text).with_default_tag())
        except ReferenceFormatError as error:
            raise ArchiveError(f"{entry.document}: {error}") from error
    return tuple(names)
