"""Images as an archive: an OCI layout in a tar, with docker's ``manifest.json`` beside it.

Docker (1.10 and later), podman, skopeo and containerd read the result. An image that was loaded is
written with the manifest and config it came with, as long as its blobs are there or can be made
again; else it gets a new manifest, and the report says so. The bytes depend on the images, their
names and the codec alone.

Layers go straight to the output. Where that is a pipe, and a layer's compressed size is not known
from an export before, the layer is compressed first and then taken from what that left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fastlayer.cache.policy import cache_budget
from fastlayer.errors import CorruptError, UsageError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.oci.descriptor import Descriptor
from fastlayer.oci.digest import encoded, sha256_digest
from fastlayer.oci.document import encode
from fastlayer.oci.index import Index
from fastlayer.oci.manifest import Manifest
from fastlayer.oci.media_type import (
    DOCKER_LAYER,
    OCI_LAYER,
    Family,
    config_media_type,
    layer_media_type,
    manifest_media_type,
)
from fastlayer.oci.reference import Reference
from fastlayer.store import ExportedBlob
from fastlayer.transport.layer_progress import LayerProgress, of_layer
from fastlayer.transport.oci_layout import INDEX, LAYOUT, NAME_ANNOTATION, TAG_ANNOTATION
from fastlayer.transport.selection import Selection
from fastlayer.transport.tar_output import TarOutput

CODECS = ("gzip", "zstd", "zstd:chunked", "none")
"""The codecs of layers."""

_BLOBS = "blobs/sha256/"
_PLAIN = frozenset({OCI_LAYER, DOCKER_LAYER})


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """How an archive is written.

    ``codec`` None keeps an image's own manifest where that can be done, and is gzip otherwise;
    ``level`` None is the codec's default. ``docker_files`` are manifest.json and repositories.
    ``annotations`` are of manifests that are made anew.
    """

    codec: str | None = None
    level: int | None = None
    family: Family = Family.OCI
    docker_files: bool = True
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaveReport:
    """What was written: manifest digests and descriptors by image id, and ids that had to get a
    new manifest."""

    manifests: Mapping[str, str] = field(default_factory=dict)
    rewritten: tuple[str, ...] = ()
    descriptors: Mapping[str, Descriptor] = field(default_factory=dict)


def save(
    catalog: ImageCatalog,
    selections: Sequence[Selection],
    descriptor: int,
    options: SaveOptions | None = None,
    *,
    progress: LayerProgress | None = None,
) -> SaveReport:
    """Write images to a tar.

    Parameters
    ----------
    catalog:
        Where they are.
    selections:
        The images and their names.
    descriptor:
        Open for writing; a pipe will do.
    options:
        Codec, media types.
    progress:
        Told how far the layer is that is being written.

    Raises
    ------
    UsageError
        An unknown codec, or one that the family has no form for.
    CorruptError
        A layer is lost or damaged.
    StoreIOError
        The output cannot be written.
    """
    options = options or SaveOptions()
    if options.codec not in {None, *CODECS}:
        raise UsageError(f"unknown codec {options.codec!r}", hint=f"one of {', '.join(CODECS)}")
    if options.codec == "zstd:chunked" and options.family is Family.DOCKER:
        raise UsageError(
            "docker's manifests have no place for what zstd:chunked must say of a layer",
            hint="write type=oci, or compress with zstd",
        )
    writer = _LayoutWriter(catalog, TarOutput(descriptor), options, progress)
    with catalog.store.lease():
        for selection in selections:
            # Named by the lease before the first byte is written, and not when its turn comes.
            catalog.size(selection.image)
        report = writer.write(selections)
    if writer.has_exported:
        catalog.store.trim_exports(cache_budget(catalog.store.root))
    return report


class _LayoutWriter:
    """The state of one archive: which blobs are in it already."""

    def __init__(
        self,
        catalog: ImageCatalog,
        output: TarOutput,
        options: SaveOptions,
        progress: LayerProgress | None,
    ) -> None:
        self._catalog = catalog
        self._store = catalog.store
        self._output = output
        self._options = options
        self._progress = progress
        self._written: set[str] = set()
        self._exported: dict[str, ExportedBlob] = {}
        self._manifests: dict[str, str] = {}
        self._descriptors: dict[str, Descriptor] = {}
        self._rewritten: list[str] = []

    def write(self, selections: Sequence[Selection]) -> SaveReport:
        output = self._output
        output.directory("blobs")
        output.directory("blobs/sha256")
        entries: list[Descriptor] = []
        documents: list[dict[str, object]] = []
        for selection in selections:
            manifest = self._image(selection.image)
            entries += _index_entries(manifest, selection.names)
            documents.append(_docker_entry(selection, manifest))
        output.file(INDEX, Index(manifests=tuple(entries)).to_json())
        if self._options.docker_files:
            output.file("manifest.json", encode(documents))
        output.file(LAYOUT, encode({"imageLayoutVersion": "1.0.0"}))
        if self._options.docker_files and any(selection.names for selection in selections):
            output.file("repositories", encode(_repositories(selections)))
        output.finish()
        return SaveReport(self._manifests, tuple(self._rewritten), self._descriptors)

    @property
    def has_exported(self) -> bool:
        """Whether layers were compressed, which leaves frames for the next time."""
        return bool(self._exported)

    def _image(self, image: Image) -> Manifest:
        kept = image.manifest if self._options.codec is None else None
        if kept is not None and all(self._available(layer) for layer in kept.layers):
            for layer, diff_id in zip(kept.layers, image.chain, strict=True):
                self._kept_layer(layer, diff_id)
            manifest = kept
        else:
            if kept is not None:
                self._rewritten.append(image.id)
            manifest = self._new_manifest(image)
        self._document(image.raw_config)
        self._document(manifest.to_json())
        self._manifests[image.id] = manifest.digest
        self._descriptors[image.id] = Descriptor(
            media_type=manifest.media_type,
            digest=manifest.digest,
            size=len(manifest.to_json()),
            annotations=manifest.annotations,
        )
        return manifest

    def _available(self, layer: Descriptor) -> bool:
        return layer.media_type in _PLAIN or self._store.has_blob(layer.digest)

    def _kept_layer(self, layer: Descriptor, diff_id: str) -> None:
        if layer.digest in self._written:
            return
        self._written.add(layer.digest)
        moved = of_layer(self._progress, diff_id, layer.size)

        def write(descriptor: int) -> None:
            if layer.media_type in _PLAIN:
                self._store.write_tar(diff_id, descriptor, progress=moved)
            else:
                self._store.write_blob(layer.digest, descriptor, progress=moved)

        self._output.blob(_BLOBS + encoded(layer.digest), layer.size, write)

    def _new_manifest(self, image: Image) -> Manifest:
        options = self._options
        codec = options.codec or "gzip"
        layers = []
        for diff_id in image.chain:
            blob = self._exported_layer(diff_id, codec)
            layers.append(
                Descriptor(
                    media_type=layer_media_type(options.family, codec),
                    digest=blob.digest,
                    size=blob.size,
                    annotations=blob.annotations,
                )
            )
        config = Descriptor(
            media_type=config_media_type(options.family),
            digest=image.id,
            size=len(image.raw_config),
        )
        return Manifest(
            media_type=manifest_media_type(options.family),
            config=config,
            layers=tuple(layers),
            annotations=options.annotations,
        )

    def _exported_layer(self, diff_id: str, codec: str) -> ExportedBlob:
        if diff_id not in self._exported:
            self._exported[diff_id] = self._export(diff_id, codec)
        return self._exported[diff_id]

    def _export(self, diff_id: str, codec: str) -> ExportedBlob:
        level = self._options.level

        def export(descriptor: int | None) -> ExportedBlob:
            moved = of_layer(self._progress, diff_id, 0)
            return self._store.export_blob(
                diff_id, codec=codec, level=level, fd=descriptor, progress=moved
            )

        known = self._store.exported_blob(diff_id, codec=codec, level=level)
        if known is None and self._output.can_go_back:
            made: list[ExportedBlob] = []

            def name(descriptor: int) -> tuple[str, int]:
                blob = export(descriptor)
                made.append(blob)
                return _BLOBS + encoded(blob.digest), blob.size

            self._output.unnamed_blob(name)
            self._written.add(made[0].digest)
            return made[0]
        blob = known or export(None)
        if blob.digest in self._written:
            return blob
        self._written.add(blob.digest)

        def write(descriptor: int) -> None:
            written = export(descriptor)
            if (written.digest, written.size) != (blob.digest, blob.size):
                raise CorruptError(
                    f"layer {diff_id}: its blob was {blob.digest} and is {written.digest} now",
                    hint="save once more",
                )

        self._output.blob(_BLOBS + encoded(blob.digest), blob.size, write)
        return blob

    def _document(self, data: bytes) -> None:
        digest = sha256_digest(data)
        if digest not in self._written:
            self._written.add(digest)
            self._output.file(_BLOBS + encoded(digest), data)


def _index_entries(manifest: Manifest, names: Iterable[Reference]) -> list[Descriptor]:
    data = manifest.to_json()
    annotations = [
        {NAME_ANNOTATION: name.canonical, TAG_ANNOTATION: name.tag or ""} for name in names
    ]
    return [
        Descriptor(
            media_type=manifest.media_type,
            digest=manifest.digest,
            size=len(data),
            annotations=named,
        )
        for named in annotations or [{}]
    ]


def _docker_entry(selection: Selection, manifest: Manifest) -> dict[str, object]:
    """One image of manifest.json, as Docker writes it from version 25 on."""
    image = selection.image
    layers = manifest.layers
    entry: dict[str, object] = {
        "Config": _BLOBS + encoded(image.id),
        "RepoTags": [name.familiar for name in selection.names] or None,
        "Layers": [_BLOBS + encoded(layer.digest) for layer in layers],
    }
    if layers:
        sources = {
            diff_id: layer.to_value() for diff_id, layer in zip(image.chain, layers, strict=True)
        }
        entry["LayerSources"] = dict(sorted(sources.items()))
    return entry


def _repositories(selections: Iterable[Selection]) -> dict[str, dict[str, str]]:
    """The names as Docker before 1.10 kept them: by repository and tag, the topmost layer."""
    repositories: dict[str, dict[str, str]] = {}
    for selection in selections:
        for name in selection.names:
            top = selection.image.chain[-1] if selection.image.chain else selection.image.id
            repositories.setdefault(name.familiar_name, {})[name.tag or ""] = encoded(top)
    return {name: dict(sorted(tags.items())) for name, tags in sorted(repositories.items())}
