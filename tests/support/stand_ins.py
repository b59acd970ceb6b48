"""Base images that stand for those which Dockerfiles of others name, as image archives.

A kind of stand-in bears the names of all images that it stands for. Both builders load the same
archive, so that what they build on is the same to the byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.base import EPOCH, rootfs_tar
from tests.support.debian import debian_tar

CREATED = "2023-11-14T22:13:20Z"
_BUSYBOX = {"Env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"], "Cmd": ["sh"]}
_DEBIAN = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Cmd": ["bash"],
}
_ANY = {"etc/nsswitch.conf": b"hosts: files dns\n"}
_DISTRIBUTION = {**_ANY, "etc/os-release": b'NAME="stand-in"\nID=stand-in\n'}
"""What Dockerfiles expect of a distribution, however small, and busybox has not."""
_ADDUSER = b"""\
#!/bin/sh
id=1000 group= name=
while [ $# -gt 0 ]; do
  case $1 in
    -u|--uid|-g) id=$2; shift ;;
    -G) group=$2; shift ;;
    --gecos) shift ;;
    -*) ;;
    *) name=$1 ;;
  esac
  shift
done
case $0 in
  *addgroup) echo "$name:x:$id:" >> /etc/group; exit ;;
esac
if [ "$group" ]; then
  gid=$(grep "^$group:" /etc/group | cut -d: -f3)
else
  gid=$id
  echo "$name:x:$gid:" >> /etc/group
fi
echo "$name:x:$id:$gid::/home/$name:/bin/sh" >> /etc/passwd
mkdir -p "/home/$name"
chown "$id:$gid" "/home/$name"
"""
"""Debian's busybox cannot add users; that of the original images can."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A base image: which tar it is, its names, its configuration."""

    tar: str
    names: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)

    def is_named_in(self, text: str) -> bool:
        """Whether a Dockerfile's text may name it."""
        return any(name.removesuffix(":latest") in text for name in self.names)

    def write(self, folder: Path) -> Path:
        """Write the image archive below ``folder``."""
        root = folder / f"{self.tar}.tar"
        if self.tar == "debian":
            root = debian_tar()
        elif not root.exists():
            root.write_bytes(_with_more(_DISTRIBUTION if self.tar == "distribution" else _ANY))
        config = {**(_DEBIAN if self.tar == "debian" else _BUSYBOX), **self.config}
        return write_image(folder / "image.tar", root, self.names, config)


def write_image(
    destination: Path, root: Path, names: Sequence[str], config: Mapping[str, Any]
) -> Path:
    """Write an image archive of one layer, the tar ``root``, with all ``names``."""
    with root.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": CREATED, "created_by": "stand-in"}],
    }
    encoded = json.dumps(document).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    layer_name = f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": list(names), "Layers": [layer_name]}]
    with tarfile.open(destination, "w") as archive:
        _add(archive, config_name, encoded)
        _add(archive, "manifest.json", json.dumps(manifest).encode())
        archive.add(root, layer_name)
    return destination


def _with_more(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for name, content in files.items():
            _add(archive, name, content)
        for name in ("usr/sbin/adduser", "usr/sbin/addgroup"):
            _add(archive, name, _ADDUSER, 0o755)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = mode
    entry.mtime = EPOCH
    archive.addfile(entry, io.BytesIO(content))
