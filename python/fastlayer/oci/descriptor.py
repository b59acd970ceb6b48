"""Descriptors: the typed, sized pointers that documents are linked by."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from fastlayer.oci.digest import is_digest
from fastlayer.oci.document import Node
from fastlayer.oci.media_type import is_media_type
from fastlayer.oci.platform import Platform
from fastlayer.value import Value

_KNOWN = frozenset(
    {"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"}
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
_MAXIMUM_SIZE = (1 << 63) - 1


class Descriptor(Value):
    """What a blob is, its digest, and its size in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = {}
    urls: tuple[str, ...] = ()
    data: bytes | None = None
    artifact_type: str = ""
    extra: Mapping[str, object] = {}

    def to_value(self) -> dict[str, object]:
        """The descriptor as a JSON object, its members in the specification's order."""
        value: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        if self.data is not None:
            value["data"] = base64.b64encode(self.data).decode()
        if self.platform is not None:
            value["platform"] = _platform_value(self.platform)
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        value.update(self.extra)
        return value


def read_descriptor(node: Node) -> Descriptor:
    """Check and read a descriptor.

    Raises
    ------
    DocumentError
        Where it breaks the schema.
    """
    node.members()
    size = node.child("size").integer()
    if not 0 <= size <= _MAXIMUM_SIZE:
        raise node.child("size").fail(f"{size} is not a size")
    digest = node.child("digest").text()
    if not is_digest(digest):
        raise node.child("digest").fail(f"{digest!r} is not a digest")
    for url in node.child("urls").items():
        if not _URL.fullmatch(url.text()):
            raise url.fail(f"{url.text()!r} is not an absolute URL")
    platform = node.child("platform")
    return Descriptor(
        media_type=read_media_type(node, "mediaType"),
        digest=digest,
        size=size,
        platform=None if platform.value is None else _read_platform(platform),
        annotations=node.text_map("annotations"),
        urls=node.texts("urls"),
        data=_read_data(node.child("data")),
        artifact_type=(
            ""
            if node.child("artifactType").value is None
            else read_media_type(node, "artifactType")
        ),
        extra=node.other_members(_KNOWN),
    )


def read_media_type(node: Node, key: str) -> str:
    """The media type member ``key`` of an object."""
    text = node.child(key).text()
    if not is_media_type(text):
        raise node.child(key).fail(f"{text!r} is not a media type")
    return text


def _read_data(node: Node) -> bytes | None:
    if node.value is None:
        return None
    try:
        return base64.b64decode(node.text(), validate=True)
    except binascii.Error as error:
        raise node.fail(f"not base64: {error}") from error


def _read_platform(node: Node) -> Platform:
    return Platform(
        os=node.child("os").text(),
        architecture=node.child("architecture").text(),
        variant=node.optional_text("variant"),
        os_version=node.optional_text("os.version"),
        os_features=node.texts("os.features"),
    )


def _platform_value(platform: Platform) -> dict[str, object]:
    value: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        value["os.version"] = platform.os_version
    if platform.os_features:
        value["os.features"] = list(platform.os_features)
    if platform.variant:
        value["variant"] = platform.variant
    return value
