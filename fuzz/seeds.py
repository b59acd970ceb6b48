"""Writes a first corpus: small archives and streams that Python's own writers make.

``python3 fuzz/seeds.py FOLDER`` makes ``FOLDER/TARGET/NAME``. The kept corpus grew out of these by
fuzzing; nothing in it comes from anywhere else. The targets for files that only fastlayer itself
writes (recipes, segments, tree indexes, stat caches) make them of any bytes and need no seeds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
CANARY = "/" + "canary-" * 9
"""The target ``apply`` puts the absolute path of its canary here."""


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **values: int
) -> tarfile.TarInfo:
    """A member with a mode that suits its kind."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in values.items():
        setattr(info, field, value)
    return info


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar without the zeros that Python fills the last 10 KiB with."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = buffer.getvalue().rstrip(b"\0") + bytes(512 + 1024)
    return data[: len(data) // 512 * 512]


def archives() -> Iterator[tuple[str, bytes]]:
    """Tars of every form and kind of member."""
    for name, form in FORMATS.items():
        yield (
            f"kinds-{name}",
            archive(
                (member("d/", tarfile.DIRTYPE), b""),
                (member("d/f", uid=1000, gid=1000, mtime=1_600_000_000), b"content"),
                (member("d/l", tarfile.SYMTYPE, "f"), b""),
                (member("d/h", tarfile.LNKTYPE, "d/f"), b""),
                (member("d/c", tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
                (member("d/b", tarfile.BLKTYPE, devmajor=7, devminor=0), b""),
                (member("d/p", tarfile.FIFOTYPE), b""),
                form=form,
            ),
        )
        long = "d/" * 60 + "n" * 90
        if form != tarfile.USTAR_FORMAT:
            yield (
                f"long-{name}",
                archive(
                    (member(long, uid=4_000_000_000, mtime=-1), b"x"),
                    (member("s", tarfile.SYMTYPE, long), b""),
                    form=form,
                ),
            )
    extended = member("attributes", mtime=1)
    extended.pax_headers = {"SCHILY.xattr.user.a": "value", "mtime": "1.5", "comment": "c"}
    yield "xattrs", archive((extended, b"x"))
    sparse = member("sparse")
    sparse.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "real",
        "GNU.sparse.realsize": "9000",
    }
    yield "sparse-1.0", archive((sparse, b"1\n8192\n3\n".ljust(512, b"\0") + b"abc"))
    older = member("sparse")
    older.pax_headers = {
        "GNU.sparse.size": "9000",
        "GNU.sparse.numblocks": "1",
        "GNU.sparse.map": "8192,3",
        "GNU.sparse.name": "real",
    }
    yield "sparse-0.1", archive((older, b"abc"))


def layers() -> Iterator[tuple[str, bytes]]:
    """Chains for the target ``apply``: its first byte tells how many, each is cut by its length."""
    named = dict(archives())
    base = named["kinds-pax"]
    yield "kinds", chain(base)
    yield (
        "whiteout",
        chain(
            base,
            archive((member("d/.wh.f"), b""), (member(".wh.d"), b"")),
            archive((member("d/", tarfile.DIRTYPE), b""), (member("d/.wh..wh..opq"), b"")),
        ),
    )
    up = "../" * 4
    for name, target in (("absolute", CANARY), ("relative", up + CANARY[1:]), ("parent", "..")):
        link = archive((member("l", tarfile.SYMTYPE, target), b""))
        below = archive(
            (member("l/planted"), b"x"),
            (member("l", tarfile.DIRTYPE, mode=0o777), b""),
            (member("h", tarfile.LNKTYPE, "l/file"), b""),
            (member("l/.wh.file"), b""),
        )
        yield f"link-{name}", chain(link, below)
        both = archive(
            (member("l", tarfile.SYMTYPE, target), b""),
            (member("l/file", mode=0o777), b"x"),
            (member("h", tarfile.LNKTYPE, "l/file"), b""),
        )
        yield f"link-{name}-in-one", chain(both)
    for name, path in (("dots", "../canary"), ("rooted", CANARY + "/file"), ("inner", "d/../../x")):
        yield f"name-{name}", chain(archive((member(path), b"x")))
        link = archive((member("h", tarfile.LNKTYPE, path), b""), (member("h"), b"overwritten"))
        yield f"hardlink-{name}", chain(link)
    yield (
        "turns",
        chain(
            archive((member("a/", tarfile.DIRTYPE), b""), (member("a/b"), b"x")),
            archive((member("a"), b"a file")),
            archive((member("a/b/c"), b"a directory again")),
        ),
    )


def chain(*tars: bytes) -> bytes:
    """The layers one after the other, each with its number of blocks in front."""
    return b"".join((len(tar) // 512).to_bytes(2, "little") + tar for tar in tars)


def streams() -> Iterator[tuple[str, bytes]]:
    """Compressed text in every form."""
    text = b"fastlayer " * 40 + bytes(range(256))
    one = gzip.compress(text, mtime=0)
    yield "gzip", one
    yield "gzip-members", one + one + bytes(20)
    yield "gzip-stored", gzip.compress(text, 0, mtime=0)
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x04\0abcdname\0comment\0"
    yield "gzip-fields", header + b"\x5b\xb5" + one[10:]
    yield "xz", lzma.compress(text, preset=0)
    yield "xz-padded", lzma.compress(text, preset=0) + bytes(8) + lzma.compress(b"x", preset=0)
    yield "xz-crc32", lzma.compress(text, check=lzma.CHECK_CRC32, preset=0)
    yield "bzip2", bz2.compress(text, 1)
    yield "bzip2-members", bz2.compress(text, 1) + bz2.compress(b"x", 9)
    for name, flags in (("zstd", ["-1"]), ("zstd-plain", ["-1", "--no-check"]), ("best", ["-19"])):
        packed = subprocess.run(["zstd", "-q", "-c", *flags], input=text, stdout=-1, check=True)
        yield name, packed.stdout
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    yield "zstd-skippable", skippable + packed.stdout + skippable + packed.stdout
    yield "plain", text


def ignore_files() -> Iterator[tuple[str, bytes]]:
    """Patterns, an empty line, and paths."""
    paths = b"\n\na\nb.txt\na/b\na/b/c.txt\n.git/config\nnode_modules/x/y\n"
    for name, patterns in (
        ("plain", b"a\nb.txt\n"),
        ("stars", b"*.txt\n**/c*\n?\n[a-c]*\n"),
        ("exceptions", b"**\n!a\n!a/b/*.txt\n"),
        ("cleaned", b"/a/../b\n./x//y/\n  a/b  \n! a \n"),
        ("classes", rb"[^a-z]\n[\]\-]\n\*a\n[]\n"),
        ("deep", b"a/**/c\n**/**/x\n!**/y\nnode_modules/**\n"),
    ):
        yield name, patterns + paths


DOCKERFILES = {
    "plain": "FROM debian AS base\nRUN echo hello\nCOPY --chown=1:2 --chmod=755 a b /c/\n",
    "continued": 'FROM a\nRUN echo \\\n  # comment\n  one \\\n\n  two\nCMD ["x", "y"]\n',
    "escape": "# escape=`\n# syntax=docker/dockerfile:1\nFROM a\nRUN x `\n  y\nENV a=`$b\n",
    "heredocs": "FROM a\nRUN <<EOF sh\necho $a\nEOF\nCOPY <<-'X' <<Y /d/\n\tx\nX\ny ${a}\nY\n",
    "mounts": "FROM a\nRUN --mount=type=cache,target=/c,sharing=locked --network=none x\n"
    "RUN --mount=type=secret,id=s,required --mount=type=bind,from=b,rw,target=/d y\n",
    "variables": "ARG v=1\nFROM a:${v:-2} AS b\nARG v\nENV a=$v b=\"x $v\" c='$v'\n"
    "WORKDIR /${a#x}/${a%%y}\nLABEL l=${b//a/c} m=${c:?no}\nEXPOSE 80/tcp 1-3\nUSER $a:${b}\n",
    "others": "FROM --platform=$BUILDPLATFORM a\nONBUILD RUN x\nSTOPSIGNAL SIGTERM\n"
    'HEALTHCHECK --interval=5s --retries=3 CMD x\nSHELL ["sh", "-c"]\nVOLUME /a /b\n'
    "MAINTAINER me\nADD --checksum=sha256:00 https://x/y /z\nENTRYPOINT x\nENV k v w\n",
    "doubling": "FROM a\nENV a=aaaaaaaa\nENV a=$a$a$a$a\nENV b=${a//a/$a}\nLABEL x=$b\n",
    "check": "# check=skip=JSONArgsRecommended;error=true\nfrom a as B\nCMD x\nworkdir rel\n",
    "ignore": "# c\n*.o\n!keep.o\n  /a/../b \n!\n",
}
"""Dockerfiles with every instruction, and an ignore file: the same target reads both."""


def dockerfiles() -> Iterator[tuple[str, bytes]]:
    """As bytes."""
    for name, text in DOCKERFILES.items():
        yield name, text.encode()


def write(folder: Path, target: str, seeds: Iterator[tuple[str, bytes]]) -> None:
    """One file a seed."""
    (folder / target).mkdir(parents=True, exist_ok=True)
    for name, data in seeds:
        (folder / target / name).write_bytes(data)


def main(folder: Path) -> None:
    """Write the seeds of all targets."""
    for target in ("tar_reader", "tar_rewrite", "tar_peers"):
        write(folder, target, archives())
    write(folder, "apply", layers())
    write(folder, "decompression", streams())
    write(folder, "ignore_rules", ignore_files())
    write(folder, "dockerfile", dockerfiles())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
