"""A build with all kinds of steps, and every digest that comes of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.base import EPOCH as BASE_EPOCH
from tests.support.base import rootfs_tar
from tests.support.command import Command
from tests.support.tree_edit import acl, capability

EPOCH = 1_600_000_000
"""The epoch of the builds; the context has times before it and after it."""

FAR = 4_000_000_000
"""An id that is in no ordinary user's range."""
COPIES = """\
FROM scratch AS base
ADD base.tar /
COPY . /all/
FROM base
COPY --chown=5:6 --chmod=0711 tree/b tree/a /owned/
COPY --from=base /all/tree /again/deep/er
COPY <<one <<two /heredocs/
first
one
second
two
ADD packed.tar.gz /unpacked/
ADD tree/link* /linked
"""
STEPS = """\
WORKDIR /made/by/workdir
RUN mkdir -p sub/dir && echo text > sub/file && ln sub/file sub/linked && ln -s file sub/link \\
 && mkfifo sub/pipe && chmod 4750 sub/file && chmod 1777 sub/dir && chown 33:44 sub/link
RUN rm -r /all/tree && mkdir /all/tree && echo new > /all/tree/a && rm /unpacked/sub/two \\
 && chmod 700 /unpacked/odd && touch -d @5 /owned/a && mv /owned/b /owned/c
RUN cd /unpacked/far && chmod 700 tool && touch -d @9 opened listed && : >> kept && echo x > new
RUN chown 7:8 /unpacked/sub && cp -a /unpacked/sub /copied && umask 077 && echo x > /private
"""


@dataclass(frozen=True, slots=True)
class BuildDigests:
    """What a build came to: the DiffID of each layer, and the digests of documents and archives."""

    layers: tuple[str, ...]
    image: str
    manifest: str
    oci: str
    docker: str
    saved: str
    zstd: str


def write_context(folder: Path, *, backwards: bool = False) -> Path:
    """Write the build's context, its entries in one order or the other; gives the folder."""
    folder.mkdir(parents=True)
    files: dict[str, bytes] = {f"tree/{name}": name.encode() * 3000 for name in "abcdefgh"}
    files |= {"tree/deep/er/empty": b"", "tree/deep/er/ü": b"u", "tree/\udcff": b"no text"}
    files |= {"base.tar": rootfs_tar(), "packed.tar.gz": _packed()}
    files |= {"Dockerfile": (COPIES + STEPS).encode(), "Dockerfile.copies": COPIES.encode()}
    for name in reversed(files) if backwards else files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    (folder / "tree" / "link").symlink_to("a")
    os.link(folder / "tree" / "a", folder / "tree" / "deep" / "linked")
    os.setxattr(folder / "tree" / "b", "user.note", b"note")
    paths = sorted(folder.rglob("*"), reverse=True)
    for number, path in enumerate([*paths, folder]):
        if not path.is_symlink():
            os.chmod(path, 0o755 if path.is_dir() else 0o640 + number % 3)
        time = BASE_EPOCH + number if number % 2 else 1_000_000_000 + number
        os.utime(path, (time, time), follow_symlinks=False)
    return folder


def build_digests(command: Command, context: Path, *flags: str, umask: int = -1) -> BuildDigests:
    """Build the context with all outputs, and give every digest."""
    output = command.root.parent / "outputs"
    output.mkdir(exist_ok=True)
    oci, docker, metadata = (output / name for name in ("oci.tar", "docker.tar", "metadata.json"))
    command.run(
        *("build", "--progress=plain", "-t", "built", "--metadata-file", metadata),
        *("-o", f"type=oci,dest={oci}", "-o", f"type=docker,dest={docker}", "-o", "type=image"),
        *flags,
        context,
        umask=umask,
    )
    saved, zstd = (
        command.run("save", *options, "built", umask=umask).stdout
        for options in ((), ("--compression=zstd",))
    )
    told = json.loads(metadata.read_text())
    return BuildDigests(
        layers=layers_of(command, "built"),
        image=told["containerimage.config.digest"],
        manifest=told["containerimage.digest"],
        oci=hashlib.sha256(oci.read_bytes()).hexdigest(),
        docker=hashlib.sha256(docker.read_bytes()).hexdigest(),
        saved=hashlib.sha256(saved).hexdigest(),
        zstd=hashlib.sha256(zstd).hexdigest(),
    )


def layers_of(command: Command, image: str) -> tuple[str, ...]:
    """The DiffIDs of an image."""
    return tuple(json.loads(command.text("inspect", "-f", "{{json .RootFS.Layers}}", image)))


def _packed() -> bytes:
    """An archive for ADD with links, capabilities, a device, and owners that not every user has."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _member(archive, "sub", tarfile.DIRTYPE, 0o2755, (5, 6))
        _member(archive, "sub/one", tarfile.REGTYPE, 0o4755, (1000, 1001), content=b"1" * 9000)
        _member(archive, "sub/two", tarfile.LNKTYPE, 0o644, (0, 0), link="sub/one")
        _member(archive, "sub/tool", tarfile.REGTYPE, 0o755, (0, 0), content=b"tool", capable=True)
        _member(archive, "odd", tarfile.DIRTYPE, 0o755, (65534, 65534))
        _member(archive, "pipe", tarfile.FIFOTYPE, 0o600, (0, 0))
        _member(archive, "far", tarfile.DIRTYPE, 0o751, (FAR, FAR))
        for name, owner in (("tool", (FAR, FAR + 1)), ("kept", (FAR, 5)), ("opened", (1000, FAR))):
            _member(archive, f"far/{name}", tarfile.REGTYPE, 0o755, owner, capable=True)
        _member(archive, "far/listed", tarfile.REGTYPE, 0o771, (FAR, FAR), listed=True)
        _member(archive, "null", tarfile.CHRTYPE, 0o666, (0, 0))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _member(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes,
    mode: int,
    owner: Sequence[int],
    *,
    content: bytes = b"",
    link: str = "",
    capable: bool = False,
    listed: bool = False,
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(content)
    entry.uid, entry.gid = owner
    entry.mtime = EPOCH + 50_000_000
    entry.devmajor, entry.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
    if capable:
        entry.pax_headers = {
            "SCHILY.xattr.security.capability": os.fsdecode(capability(0x2000)),
            "SCHILY.xattr.user.note": "kept",
        }
    if listed:
        entries = ((1, 7, -1), (2, 6, FAR), (4, 5, -1), (16, 7, -1), (32, 1, -1))
        value = acl(*((tag, mode, id_ & 0xFFFFFFFF) for tag, mode, id_ in entries))
        entry.pax_headers = {"SCHILY.xattr.system.posix_acl_access": os.fsdecode(value)}
    archive.addfile(entry, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
