"""The media types of images, in both families, and what they say.

docker's and OCI's documents have the same shape; the names tell them apart.
"""

from __future__ import annotations

import re
from enum import Enum

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})

_PART = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_PATTERN = re.compile(f"{_PART}/{_PART}")


class Family(Enum):
    """Which names a document uses."""

    OCI = "oci"
    DOCKER = "docker"


_LAYERS = {
    (Family.OCI, "none"): OCI_LAYER,
    (Family.OCI, "gzip"): OCI_LAYER_GZIP,
    (Family.OCI, "zstd"): OCI_LAYER_ZSTD,
    (Family.OCI, "zstd:chunked"): OCI_LAYER_ZSTD,
    (Family.DOCKER, "none"): DOCKER_LAYER,
    (Family.DOCKER, "gzip"): DOCKER_LAYER_GZIP,
    (Family.DOCKER, "zstd"): DOCKER_LAYER_ZSTD,
}


def is_media_type(text: str) -> bool:
    """Whether the text is ``type/subtype`` as RFC 6838 has it."""
    return _PATTERN.fullmatch(text) is not None


def layer_media_type(family: Family, codec: str) -> str:
    """The name of a layer blob; ``codec`` is ``gzip``, ``zstd``, ``none``, or for OCI only
    ``zstd:chunked``."""
    return _LAYERS[family, codec]


def manifest_media_type(family: Family) -> str:
    """The name of a manifest."""
    return OCI_MANIFEST if family is Family.OCI else DOCKER_MANIFEST


def config_media_type(family: Family) -> str:
    """The name of an image config."""
    return OCI_CONFIG if family is Family.OCI else DOCKER_CONFIG
