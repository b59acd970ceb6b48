"""An image as an archive holds it: documents read, layers still where they are."""

from __future__ import annotations

from dataclasses import dataclass

from fastlayer.errors import ArchiveError
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.manifest import Manifest
from fastlayer.oci.reference import Reference
from fastlayer.transport.parts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedLayer:
    """A layer blob; ``digest`` is None where the archive does not say it."""

    part: Part
    diff_id: str
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """An image of an archive and the names it has there.

    ``digest`` and ``media_type`` are those of the index or manifest that the names point at;
    ``other_documents`` are indexes on the way to the manifest, as bytes. ``warnings`` say what
    is odd about the archive.
    """

    config: ImageConfig
    layers: tuple[ArchivedLayer, ...]
    names: tuple[Reference, ...] = ()
    manifest: Manifest | None = None
    digest: str | None = None
    media_type: str = ""
    other_documents: tuple[bytes, ...] = ()
    warnings: tuple[str, ...] = ()


def check_layer_count(label: str, config: ImageConfig, count: int) -> None:
    """Refuse an image whose config and manifest disagree about its layers.

    Raises
    ------
    ArchiveError
        Where they do.
    """
    if len(config.diff_ids) != count:
        raise ArchiveError(
            f"{label}: the manifest has {count} layers, the config {len(config.diff_ids)}"
        )
