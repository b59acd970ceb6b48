"""The tars that are measured: one of real files, and synthetic ones of any size by a stream.

``python -m benches.layer_tar KIND COUNT`` writes a synthetic tar to standard output.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benches.context import site_packages

MTIME = 1_700_000_000
BLOCK = 512
DIRECTORY_SIZE = 1000
"""Files of one directory of a synthetic tar."""
LARGE = 4 << 20
"""Bytes of one content of the large tar."""
CONTENTS = 64
"""How many different contents the large tar has: its layer needs little room on the disk."""


def layer_tar(cache: Path) -> Path:
    """The packages as one plain tar, made once in a cache folder (about 1 GB)."""
    tar = cache / "layer.tar"
    if not tar.exists():
        part = tar.with_name("layer.tar.part")
        words = ["tar", "--sort=name", "--numeric-owner", "-cf", str(part)]
        subprocess.run([*words, "-C", str(site_packages(cache)), "."], check=True)
        part.rename(tar)
    return tar


def header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    """A ustar header of root's; the name must have at most 99 bytes."""
    block = b"".join(
        (
            name.ljust(100, b"\0"),
            b"0000755\0" if kind == b"5" else b"0000644\0",
            b"0000000\0" * 2,
            b"%011o\0%011o\0" % (size, MTIME),
            b" " * 8,
            kind.ljust(101, b"\0"),
            b"ustar\00000".ljust(255, b"\0"),
        )
    )
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def directory_of(number: int) -> str:
    """The directory of a synthetic tar that its file of this number lies in."""
    return f"d{number // DIRECTORY_SIZE:04}"


def path_of(number: int) -> str:
    """The path of a file of a synthetic tar."""
    return f"{directory_of(number)}/f{number:07}"


def _tar(count: int, contents: Iterator[bytes]) -> Iterator[bytes]:
    for number, content in zip(range(count), contents, strict=False):
        if number % DIRECTORY_SIZE == 0:
            yield header(directory_of(number).encode() + b"/", 0, b"5")
        yield header(path_of(number).encode(), len(content))
        yield content
        yield bytes(-len(content) % BLOCK)
    yield bytes(2 * BLOCK)


def empty_files(count: int) -> Iterator[bytes]:
    """A tar of so many files without content."""
    return _tar(count, itertools.repeat(b""))


def small_files(count: int) -> Iterator[bytes]:
    """A tar of so many files with a line each."""
    return _tar(count, (b"content of file %d\n" % number for number in itertools.count()))


def large_files(count: int) -> Iterator[bytes]:
    """A tar of so many files of :data:`LARGE` bytes; only :data:`CONTENTS` are different."""
    source = random.Random(1)
    return _tar(count, itertools.cycle([source.randbytes(LARGE) for _ in range(CONTENTS)]))


KINDS = {"empty": empty_files, "small": small_files, "large": large_files}


def main(kind: str, count: str) -> int:
    """Write a synthetic tar to standard output."""
    with os.fdopen(1, "wb", buffering=1 << 20) as output:
        for piece in KINDS[kind](int(count)):
            output.write(piece)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
