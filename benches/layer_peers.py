"""The programs that unpack a layer: tar, umoci and skopeo. Each leaves the tree in a directory.

umoci and skopeo take an OCI layout whose layer is as plain as tar's; that is made before the clock
runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches.rounds import run_process

NAME = "layer"


def make_layout(tar: Path, folder: Path) -> Path:
    """An OCI layout of one image with this tar as its only layer."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with tar.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    run_process(["cp", tar, blobs / digest])
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "2024-01-01T00:00:00Z"}],
    }
    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": f"sha256:{digest}",
        "size": tar.stat().st_size,
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _put(blobs, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    entry = _put(blobs, manifest, str(manifest["mediaType"]))
    entry["annotations"] = {"org.opencontainers.image.ref.name": NAME}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _put(blobs: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def unpack_by_tar(tar: Path, folder: Path) -> Path:
    """``tar xf``; gives where the tree is, as the others do."""
    folder.mkdir()
    run_process(["tar", "--numeric-owner", "-xf", tar, "-C", folder])
    return folder


def unpack_by_umoci(layout: Path, folder: Path) -> Path:
    """``umoci unpack``."""
    run_process(["umoci", "unpack", "--image", f"{layout}:{NAME}", folder])
    return folder / "rootfs"


def unpack_by_skopeo(layout: Path, folder: Path) -> Path:
    """``skopeo copy`` to a containers-storage of its own, with the overlay driver."""
    place = f"containers-storage:[overlay@{folder / 'storage'}+{folder / 'run'}]{NAME}"
    run_process(["skopeo", "copy", "--quiet", f"oci:{layout}:{NAME}", place])
    return next((folder / "storage" / "overlay").glob("*/diff"))


def tree_hash(folder: Path) -> str:
    """A hash of all that is below a folder: names, kinds, modes, contents and link targets."""
    sha256 = hashlib.sha256()
    for path, mode in sorted(_walk(folder)):
        sha256.update(b"%b\0%o\0" % (os.fsencode(path.relative_to(folder)), mode))
        if stat.S_ISLNK(mode):
            sha256.update(os.fsencode(path.readlink()))
        elif stat.S_ISREG(mode):
            with path.open("rb") as file:
                sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            yield path, entry.stat(follow_symlinks=False).st_mode
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(path)
