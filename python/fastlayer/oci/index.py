"""Image indexes (OCI) and manifest lists (docker): one manifest a platform, or an index again."""

from __future__ import annotations

from fastlayer.oci.descriptor import Descriptor, read_descriptor
from fastlayer.oci.document import parse
from fastlayer.oci.envelope import Envelope, read_common
from fastlayer.oci.media_type import INDEXES, MANIFESTS, OCI_INDEX
from fastlayer.oci.platform import Platform

_ATTESTATION = "vnd.docker.reference.type"


class Index(Envelope, hidden=("raw",)):
    """An index; ``raw`` holds the bytes it was read from, and they win over the fields."""

    media_type: str = OCI_INDEX
    manifests: tuple[Descriptor, ...]

    def _content(self) -> dict[str, object]:
        return {"manifests": [entry.to_value() for entry in self.manifests]}

    @staticmethod
    def from_json(data: bytes, document: str = "index") -> Index:
        """Check and read an index; ``document`` is what an error calls it.

        Raises
        ------
        DocumentError
            Where it breaks the schema, or could be read as a manifest as well.
        """
        node = parse(data, document)
        common = read_common(node, data, media_type=OCI_INDEX, members=frozenset({"manifests"}))
        # What could be read as a manifest as well is neither (CVE-2021-41190): another reader of
        # the same digest would see another image.
        for member in ("config", "layers", "fsLayers"):
            if node.child(member).value is not None:
                raise node.child(member).fail("an index has no such member: this is a manifest")
        if common["media_type"] in MANIFESTS:
            raise node.fail("this is a manifest, not an index of manifests")
        if node.child("manifests").value is None:
            raise node.child("manifests").fail("expected an array, found nothing")
        entries = tuple(read_descriptor(entry) for entry in node.child("manifests").items())
        return Index(manifests=entries, **common)


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
