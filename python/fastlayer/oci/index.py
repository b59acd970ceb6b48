"""Image indexes (OCI) and manifest lists (docker): one manifest a platform, or an index again."""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.oci.descriptor import Descriptor, read_descriptor, read_media_type
from fastlayer.oci.digest import sha256_digest
from fastlayer.oci.document import encode, parse
from fastlayer.oci.media_type import INDEXES, MANIFESTS, OCI_INDEX
from fastlayer.oci.platform import Platform
from fastlayer.value import Value

_KNOWN = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"}
)
_ATTESTATION = "vnd.docker.reference.type"


class Index(Value, hidden=("raw",)):
    """An index; ``raw`` holds the bytes it was read from, and they win over the fields."""

    media_type: str = OCI_INDEX
    manifests: tuple[Descriptor, ...]
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
        value["manifests"] = [entry.to_value() for entry in self.manifests]
        if self.subject is not None:
            value["subject"] = self.subject.to_value()
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        value.update(self.extra)
        return encode(value)

    @staticmethod
    def from_json(data: bytes, document: str = "index") -> Index:
        """Check and read an index; ``document`` is what an error calls it.

        Raises
        ------
        DocumentError
            Where it breaks the schema.
        """
        node = parse(data, document)
        version = node.child("schemaVersion").integer()
        if version != 2:
            raise node.child("schemaVersion").fail(f"version {version} is not supported, only 2")
        if node.child("manifests").value is None:
            raise node.child("manifests").fail("expected an array, found nothing")
        subject = node.child("subject")
        return Index(
            media_type=(
                OCI_INDEX
                if node.child("mediaType").value is None
                else read_media_type(node, "mediaType")
            ),
            manifests=tuple(read_descriptor(entry) for entry in node.child("manifests").items()),
            artifact_type=(
                ""
                if node.child("artifactType").value is None
                else read_media_type(node, "artifactType")
            ),
            subject=None if subject.value is None else read_descriptor(subject),
            annotations=node.text_map("annotations"),
            extra=node.other_members(_KNOWN),
            raw=data,
        )


def image_manifests(index: Index) -> tuple[Descriptor, ...]:
    """The entries that are images or indexes: attestations and foreign artifacts are left out."""
    return tuple(
        entry
        for entry in index.manifests
        if (entry.media_type in MANIFESTS or entry.media_type in INDEXES)
        and _ATTESTATION not in entry.annotations
    )


def choose(entries: tuple[Descriptor, ...], wanted: Platform) -> tuple[Descriptor, ...]:
    """The entries that name the wanted platform, else those that name none."""
    exact = tuple(
        entry
        for entry in entries
        if entry.platform is not None and entry.platform.satisfies(wanted)
    )
    return exact or tuple(entry for entry in entries if entry.platform is None)
