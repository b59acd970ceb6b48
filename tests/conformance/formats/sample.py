"""The store that the tests of the formats read: made by the command, from many kinds of input.

Its images are ``base`` (busybox), ``site`` (COPY, ADD and RUN on it, with contents of every size
at which a format draws a line), ``odd`` (a layer of each archive of the test data that can be
one, and layers that change the ones below), ``chunks`` (for zstd:chunked) and a container.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.archives import config_of, old_docker_archive, tar_of
from tests.support.busybox_store import busybox_store
from tests.support.command import Command
from tests.support.requirements import corpus
from tests.support.tar_blocks import (
    CHAR,
    END,
    FIFO,
    directory,
    extended,
    file,
    hardlink,
    header,
    symlink,
)

SIZES = (0, 1, 4096, 4097, 70_000, 131_071, 131_072, 524_288, 5_000_000)
"""Of files: around each size at which something else is done with a content."""
MANY = 500
"""Files of a few thousand bytes: together more than the largest segment."""
DOCKERFILE = """\
FROM base
COPY . /site/
ADD extra.tar /extra/
RUN rm -r /site/many /etc/group && mkdir /site/many && echo made >/site/many/file
RUN chmod 700 /site && mv /site/size-70000 /site/moved
"""
_UNPACK = {".bz2": bz2.decompress, ".gz": gzip.decompress, ".xz": lzma.decompress}
_ENOUGH = 90
"""How many archives of the test data are layers, at least."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The store, the context that ``site`` was built from, and ``chunks`` as it was saved."""

    command: Command
    context: Path
    saved: dict[str, Path]

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.command.root


def make_sample(folder: Path) -> Sample:
    """Fill a new store."""
    command = busybox_store(folder)
    context = folder / "context"
    _write_context(context)
    command.run("build", "-t", "site", context)
    odd = odd_layers()
    archive = folder / "odd.tar"
    archive.write_bytes(tar_of(old_docker_archive(config_of(*odd), *odd, tags=["odd:latest"])))
    command.run("load", "-q", "-i", archive)
    small = folder / "small"
    _write_small(small)
    command.run("build", "-t", "chunks", small)
    done = command.run("run", "--name", "box", "-v", "/kept", "site", *_SCRIPT, check=False)
    assert done.returncode == 3, done.stderr
    saved = {}
    for codec, image in (("gzip", "site"), ("zstd", "site"), ("zstd:chunked", "chunks")):
        saved[codec] = folder / f"{codec.replace(':', '-')}.oci"
        command.run("save", "--compression", codec, "-o", saved[codec], image)
    command.run("image", "prune", "-f")
    return Sample(command, context, saved)


def make_small(folder: Path) -> Sample:
    """Fill a new store with the same kinds of files, and few of each."""
    command = busybox_store(folder)
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM base\nCOPY . /site/\nRUN echo made >/site/moved\n")
    (context / "content").write_bytes(random.Random(9).randbytes(5000))
    command.run("build", "-t", "site", context)
    command.run("run", "--name", "box", "site", "sh", "-c", "echo out; rm /site/moved")
    saved = {"gzip": folder / "gzip.oci"}
    command.run("save", "--compression", "gzip", "-o", saved["gzip"], "site")
    command.run("image", "prune", "-f")
    return Sample(command, context, saved)


_SCRIPT = ("sh", "-c", "echo out; echo err >&2; echo new >/new; rm /site/moved; exit 3")


def _write_context(context: Path) -> None:
    source = random.Random(7)
    (context / "many").mkdir(parents=True)
    for size in SIZES:
        (context / f"size-{size}").write_bytes(source.randbytes(size))
    for number in range(MANY):
        (context / "many" / f"{number}").write_bytes(source.randbytes(2000 + 17 * number))
    with (context / "hole").open("wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"end")
    (context / "extra.tar").write_bytes(_extra())
    (context / "Dockerfile").write_text(DOCKERFILE)


def _write_small(small: Path) -> None:
    source = random.Random(8)
    small.mkdir()
    (small / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    for size in (0, 10, 400_000, 4_500_000):
        (small / f"size-{size}").write_bytes(source.randbytes(size))
    zeros = source.randbytes(90_000) + bytes(5000) + source.randbytes(1000) + bytes(1023)
    (small / "zeros").write_bytes(zeros)


def _extra() -> bytes:
    """A tar with every kind of member that a tree index knows, but for deletions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, link in (
            ("folder", tarfile.DIRTYPE, ""),
            ("folder/file", tarfile.REGTYPE, ""),
            ("folder/again", tarfile.LNKTYPE, "folder/file"),
            ("folder/" + "long/" * 40 + "name", tarfile.REGTYPE, ""),
            ("link", tarfile.SYMTYPE, "folder/" + "x" * 150),
            ("pipe", tarfile.FIFOTYPE, ""),
            ("device", tarfile.BLKTYPE, ""),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.mtime, entry.mode, entry.uid = 1_600_000_000.75, 0o4755, 3_000_000
            entry.devmajor, entry.devminor = 7, 259
            content = b"content" * 1000 if kind == tarfile.REGTYPE else b""
            entry.size = len(content)
            if content:
                entry.pax_headers = {"SCHILY.xattr.user.note": "of a file"}
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def odd_layers() -> list[bytes]:
    """Plain tars: those of the test data that are layers, and some that rely on others."""
    found = {data: None for path in sorted(corpus("tars").rglob("*")) if (data := _tar(path))}
    assert len(found) >= _ENOUGH
    return [*found, *_layers_on_layers()]


def _tar(path: Path) -> bytes:
    if not path.is_file() or ".tar" not in path.name or path.name in _NO_LAYERS | _HUGE:
        return b""
    data = path.read_bytes()
    if path.suffix in (".Z", ".lz", ".zst", ".lzma"):
        return b""
    return _UNPACK.get(path.suffix, bytes)(data)


_NO_LAYERS = {
    "issue11169.tar",
    "issue12435.tar",
    "neg-size.tar",
    "pax-bad-hdr-large.tar.bz2",
    "recursion.tar",
    "test_read_format_tar_pax_g_large.tar",
    "writer-big-long.tar",
    "writer-big.tar",
    "diff-039-truncated-entry-body.tar",
}
"""Archives that are cut short or beyond a limit: an error, not a layer."""
_HUGE = {"gnu-incremental.tar", "pax-sparse-big.tar", "sparse-large.tar"}
"""Sparse files of half a GB and more: the reader has whole contents in memory."""


def _layers_on_layers() -> list[bytes]:
    lower = [directory(b"d/"), file(b"d/a", b"a" * 5000), file(b"d/b", b"b"), directory(b"o/")]
    upper = [
        file(b"d/.wh.a"),
        file(b"d/.wh.b"),
        file(b"d/b", b"again"),
        directory(b"o/"),
        file(b"o/.wh..wh..opq"),
        file(b"o/.wh..wh.plnk", b"left out"),
        hardlink(b"o/lower", b"d/b"),
        file(b"without/entries/file", b"x"),
        symlink(b"way", b"without/entries"),
        file(b"way/through", b"a link"),
        hardlink(b"z", b"./d/b"),
        hardlink(b"far", b"bin/of/below"),
        header(b"c", CHAR, device=(5, 1)),
        header(b"p", FIFO),
        file(b"over", b"first"),
        directory(b"over/"),
        directory(b"gone/"),
        file(b"gone/child", b"x"),
        file(b"gone", b"a file now"),
        extended({b"mtime": b"-1.5", b"SCHILY.xattr.user.b": b"2", b"SCHILY.xattr.user.a": b"\0"}),
        file(b"attributes"),
    ]
    return [b"".join(members) + END for members in (lower, upper)]
