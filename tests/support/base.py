"""A small base image for tests: busybox as its only program, made without any network.

The tar is the same, byte for byte, each time it is made on one machine: sorted entries, fixed
times and owners.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.requirements import missing, need_core

if TYPE_CHECKING:
    from fastlayer.store import Store

BUSYBOX = Path("/bin/busybox")
EPOCH = 1_700_000_000
"""The mtime of every entry, seconds."""

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
app:x:1000:1001:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = """\
root:x:0:
daemon:x:1:
wheel:x:10:app
app:x:1001:
nogroup:x:65534:
"""
DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "home/app": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "sbin": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
}


def have_busybox() -> bool:
    """Whether the static busybox that the base needs is installed."""
    return BUSYBOX.exists()


def import_base(store: Store, name: str = "busybox") -> str:
    """Make the base an image of a store; gives its id."""
    need_core()
    from fastlayer.image import ImageCatalog
    from fastlayer.oci.config import ImageConfig, RuntimeConfig
    from fastlayer.oci.history import HistoryEntry
    from fastlayer.oci.platform import host_platform

    with tempfile.TemporaryFile() as file:
        file.write(rootfs_tar())
        file.seek(0)
        layer = store.import_layer(file.fileno())
    created = "2023-11-14T22:13:20Z"
    config = ImageConfig(
        architecture=host_platform().architecture,
        os="linux",
        created=created,
        config=RuntimeConfig(env=("PATH=/bin:/usr/bin",), cmd=("sh",)),
        diff_ids=(layer.diff_id,),
        history=(HistoryEntry(created=created, created_by="busybox"),),
    )
    catalog = ImageCatalog(store)
    image = catalog.create(config)
    catalog.tag(image.id, name)
    return image.id


@lru_cache(maxsize=1)
def rootfs_tar() -> bytes:
    """The base's file system as a plain tar."""
    if not have_busybox():
        missing("needs the program /bin/busybox (package busybox-static)")
    applets = subprocess.run(
        [BUSYBOX, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode in DIRECTORIES.items():
            owner = (1000, 1001) if name == "home/app" else (0, 0)
            _add(archive, name, tarfile.DIRTYPE, mode=mode, owner=owner)
        _add(archive, "bin/busybox", tarfile.REGTYPE, mode=0o755, content=BUSYBOX.read_bytes())
        for applet in sorted(set(applets) - {"busybox"}):
            _add(archive, f"bin/{applet}", tarfile.SYMTYPE, mode=0o777, link="busybox")
        _add(archive, "etc/passwd", tarfile.REGTYPE, mode=0o644, content=PASSWD.encode())
        _add(archive, "etc/group", tarfile.REGTYPE, mode=0o644, content=GROUP.encode())
    return buffer.getvalue()


def write_rootfs_tar(destination: Path) -> Path:
    """Write the base's tar to a file, for ``fastlayer import``."""
    destination.write_bytes(rootfs_tar())
    return destination


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes,
    *,
    mode: int,
    owner: tuple[int, int] = (0, 0),
    content: bytes = b"",
    link: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    entry.uid, entry.gid = owner
    entry.mtime = EPOCH
    entry.linkname = link
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
