"""Image manifests, OCI's and docker's (schema 2): one config and its layers."""

from __future__ import annotations

from fastlayer.oci.descriptor import Descriptor, read_descriptor
from fastlayer.oci.document import parse
from fastlayer.oci.envelope import Envelope, read_common
from fastlayer.oci.media_type import DOCKER_MANIFEST, INDEXES, OCI_MANIFEST, Family


class Manifest(Envelope, hidden=("raw",)):
    """A manifest; ``raw`` holds the bytes it was read from, and they win over the fields."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def family(self) -> Family:
        """Whether the names are docker's or OCI's."""
        return Family.DOCKER if self.media_type == DOCKER_MANIFEST else Family.OCI

    def _content(self) -> dict[str, object]:
        return {
            "config": self.config.to_value(),
            "layers": [layer.to_value() for layer in self.layers],
        }

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
        common = read_common(
            node, data, media_type=OCI_MANIFEST, members=frozenset({"config", "layers"})
        )
        if common["media_type"] in INDEXES or node.child("manifests").value is not None:
            raise node.fail("this is an index of manifests, not a manifest")
        if node.child("layers").value is None and not allow_no_layers:
            raise node.child("layers").fail("expected an array, found nothing")
        layers = tuple(read_descriptor(layer) for layer in node.child("layers").items())
        if not layers and not allow_no_layers:
            raise node.child("layers").fail("at least one layer is needed")
        return Manifest(config=read_descriptor(node.child("config")), layers=layers, **common)
