"""An image: a config document, the layers it names, and the names people gave it."""

from __future__ import annotations

from fastlayer.oci.config import ImageConfig
from fastlayer.oci.manifest import Manifest
from fastlayer.oci.platform import Platform
from fastlayer.value import Value


class Image(Value):
    """One image of one platform.

    ``id`` is the digest of the config's bytes. ``tags`` are the familiar names with their tags,
    sorted, and ``digests`` the names with the digest of what was loaded under them. ``manifest`` is
    the one the image came with, its bytes kept in ``manifest.raw``; None where it was made here.
    """

    id: str
    config: ImageConfig
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """DiffIDs of the layers, the base's first."""
        return self.config.diff_ids

    @property
    def platform(self) -> Platform:
        """What the image runs on."""
        return self.config.platform

    @property
    def raw_config(self) -> bytes:
        """The config's bytes, as they came or were first written."""
        return self.config.to_json()
