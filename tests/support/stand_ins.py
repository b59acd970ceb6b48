"""Base images that stand for those which Dockerfiles of others name, as image archives.

A name stands for busybox or for Debian; each archive bears all of its names, and both builders
load the same one, so that what they build on is the same to the byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CREATED = "2023-11-14T22:13:20Z"


def write_image(
    destination: Path, root: Path, names: Sequence[str], config: dict[str, Any]
) -> Path:
    """Write an image archive of one layer, the tar ``root``, with all ``names``."""
    hashed = hashlib.sha256()
    with root.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            hashed.update(chunk)
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashed.hexdigest()}"]},
        "history": [{"created": CREATED, "created_by": "stand-in"}],
    }
    encoded = json.dumps(document).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    layer_name = f"{hashed.hexdigest()}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]}]
    with tarfile.open(destination, "w") as archive:
        for name, content in ((config_name, encoded), ("manifest.json", json.dumps(manifest))):
            _add(archive, name, content if isinstance(content, bytes) else content.encode())
        archive.add(root, layer_name)
    return destination


def busybox_config(**more: Any) -> dict[str, Any]:
    """The configuration of the busybox stand-in."""
    return {"Env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"], "Cmd": ["sh"], **more}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
