"""Archives as Docker and OCI tools write them, made in memory member by member.

What a test changes in an otherwise good archive is a matter of a dict: names to contents, or to
the target of a link.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

OCI = "application/vnd.oci.image."
INDEX_TYPE = OCI + "index.v1+json"
MANIFEST_TYPE = OCI + "manifest.v1+json"
CONFIG_TYPE = OCI + "config.v1+json"
LAYER_TYPE = OCI + "layer.v1.tar"

Members = dict[str, "bytes | Link"]


@dataclass(frozen=True)
class Link:
    """A symbolic link in an archive."""

    target: str


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def config_of(*tars: bytes, architecture: str = "amd64", **more: Any) -> bytes:
    return encode(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hex_of(tar) for tar in tars]},
            **more,
        }
    )


def tar_of(members: Members) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, Link):
                entry.type, entry.linkname = tarfile.SYMTYPE, content.target
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def old_docker_archive(config: bytes, *tars: bytes, tags: list[str] | None = None) -> Members:
    """The form before version 25: a directory a layer; a layer that occurs twice is a link."""
    members: Members = {}
    layers = []
    seen: dict[bytes, str] = {}
    for number, tar in enumerate(tars):
        directory = hex_of(f"{number}".encode())
        members[f"{directory}/VERSION"] = b"1.0"
        members[f"{directory}/json"] = b"{}"
        name = f"{directory}/layer.tar"
        members[name] = Link(f"../{seen[tar]}") if tar in seen else tar
        seen.setdefault(tar, name)
        layers.append(name)
    members[f"{hex_of(config)}.json"] = config
    members["manifest.json"] = encode(
        [{"Config": f"{hex_of(config)}.json", "RepoTags": tags, "Layers": layers}]
    )
    members["repositories"] = encode({"old": {"1": "x"}})
    return members


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    digest = "sha256:" + hex_of(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data), **more}


def blob_name(data: bytes) -> str:
    return f"blobs/sha256/{hex_of(data)}"


def add_image(members: Members, config: bytes, *blobs: bytes, kind: str = LAYER_TYPE) -> bytes:
    """Put an image's blobs into a layout; gives its manifest."""
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, config),
            "layers": [descriptor(kind, blob) for blob in blobs],
        }
    )
    for data in (config, manifest, *blobs):
        members[blob_name(data)] = data
    return manifest


def finish_layout(members: Members, *entries: dict[str, Any]) -> Members:
    """Put in what makes the blobs a layout."""
    members["oci-layout"] = encode({"imageLayoutVersion": "1.0.0"})
    members["index.json"] = encode({"schemaVersion": 2, "manifests": list(entries)})
    return members


def named(manifest: bytes, name: str, **more: Any) -> dict[str, Any]:
    """The index entry of a manifest with a full name."""
    annotations = {"io.containerd.image.name": name}
    return descriptor(MANIFEST_TYPE, manifest, annotations=annotations, **more)


def layout(name: str, config: bytes, *blobs: bytes, kind: str = LAYER_TYPE) -> Members:
    """A whole layout of one image."""
    members: Members = {}
    manifest = add_image(members, config, *blobs, kind=kind)
    return finish_layout(members, named(manifest, name))
