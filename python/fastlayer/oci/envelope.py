"""What manifests and indexes have in common: schema version 2, a type, a subject, annotations.

A document that was read keeps its bytes, and they win over the fields: the digest of what came in
never changes. Members that nobody here knows are kept and written last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from fastlayer.oci.descriptor import Descriptor, read_descriptor, read_media_type
from fastlayer.oci.digest import sha256_digest
from fastlayer.oci.document import Node, encode
from fastlayer.value import Value

COMMON_MEMBERS = frozenset({"schemaVersion", "mediaType", "artifactType", "subject", "annotations"})
"""The JSON members that :class:`Envelope` has fields for."""


class Envelope(Value, hidden=("raw",)):
    """A manifest or an index; ``raw`` holds the bytes it was read from."""

    media_type: str
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = {}
    extra: Mapping[str, object] = {}
    raw: bytes | None = None

    @property
    def digest(self) -> str:
        """The digest of :meth:`to_json`."""
        return sha256_digest(self.to_json())

    def to_json(self) -> bytes:
        """The bytes it was read from, else compact JSON in the specification's order."""
        if self.raw is not None:
            return self.raw
        value: dict[str, object] = {"schemaVersion": 2, "mediaType": self.media_type}
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        value.update(self._content())
        if self.subject is not None:
            value["subject"] = self.subject.to_value()
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        value.update(self.extra)
        return encode(value)

    def _content(self) -> dict[str, object]:
        """The members between the type and the subject; an envelope by itself has none."""
        return {}


class CommonFields(TypedDict):
    """The fields of an :class:`Envelope`, read."""

    media_type: str
    artifact_type: str
    subject: Descriptor | None
    annotations: Mapping[str, str]
    extra: Mapping[str, object]
    raw: bytes


def read_common(
    node: Node, data: bytes, *, media_type: str, members: frozenset[str]
) -> CommonFields:
    """Read the fields that manifests and indexes share.

    Parameters
    ----------
    node:
        The parsed document.
    data:
        Its bytes, kept as they are.
    media_type:
        The type where the document names none.
    members:
        The further members that are known, so that the rest is kept as it is.

    Raises
    ------
    DocumentError
        Where it breaks the schema, or is of another version.
    """
    version = node.child("schemaVersion").integer()
    if version != 2:
        raise node.child("schemaVersion").fail(f"version {version} is not supported, only 2")
    subject = node.child("subject")
    return CommonFields(
        media_type=_media_type(node, "mediaType", media_type),
        artifact_type=_media_type(node, "artifactType", ""),
        subject=None if subject.value is None else read_descriptor(subject),
        annotations=node.text_map("annotations"),
        extra=node.other_members(COMMON_MEMBERS | members),
        raw=data,
    )


def _media_type(node: Node, member: str, otherwise: str) -> str:
    return otherwise if node.child(member).value is None else read_media_type(node, member)
