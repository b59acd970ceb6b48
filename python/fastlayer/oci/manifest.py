"""Image manifests, OCI's and docker's (schema 2): one config and its layers."""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.oci.descriptor import Descriptor, read_descriptor, read_media_type
from fastlayer.oci.digest import sha256_digest
from fastlayer.oci.document import encode, parse
from fastlayer.oci.media_type import DOCKER_MANIFEST, INDEXES, OCI_MANIFEST, Family
from fastlayer.value import Value

_KNOWN = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"}
)


class Manifest(Value, hidden=("raw",)):
    """A manifest; ``raw`` holds the bytes it was read from, and they win over the fields."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = {}
    extra: Mapping[str, object] = {}
    raw: bytes | None = None

    @property
    def family(self) -> Family:
        """Whether the names are docker's or OCI's."""
        return Family.DOCKER if self.media_type == DOCKER_MANIFEST else Family.OCI

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
        value["config"] = self.config.to_value()
        value["layers"] = [layer.to_value() for layer in self.layers]
        if self.subject is not None:
            value["subject"] = self.subject.to_value()
        if self.annotations:
            value["annotations"] = dict(sorted(self.annotations.items()))
        value.update(self.extra)
        return encode(value)

    @staticmethod
    def from_json(
        data: bytes, document: str = "manifest", *, allow_no_layers: bool = False
    ) -> Manifest:
        """Check and read a manifest.

        Parameters
        ----------
        data:
            The document; kept as it is.
        document:
            What to call it in an error.
        allow_no_layers:
            docker writes such manifests for an image ``FROM scratch`` without files, though the
            OCI schema asks for one layer at least.

        Raises
        ------
        DocumentError
            Where it breaks the schema, or is an index or an old schema 1 manifest.
        """
        node = parse(data, document)
        version = node.child("schemaVersion").integer()
        if version != 2:
            raise node.child("schemaVersion").fail(f"version {version} is not supported, only 2")
        media_type = OCI_MANIFEST
        if node.child("mediaType").value is not None:
            media_type = read_media_type(node, "mediaType")
        if media_type in INDEXES or node.child("manifests").value is not None:
            raise node.fail("this is an index of manifests, not a manifest")
        if node.child("layers").value is None and not allow_no_layers:
            raise node.child("layers").fail("expected an array, found nothing")
        layers = tuple(read_descriptor(layer) for layer in node.child("layers").items())
        if not layers and not allow_no_layers:
            raise node.child("layers").fail("at least one layer is needed")
        subject = node.child("subject")
        return Manifest(
            media_type=media_type,
            config=read_descriptor(node.child("config")),
            layers=layers,
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
