"""Input that asks for more memory or disk than it has: each ends at a named limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest

from tests.support.canary import Canary
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.measured import run_measured
from tests.support.requirements import need_program
from tests.support.store_state import StoreState, staging
from tests.support.tar_blocks import BLOCK, END, extended, file, header, padded, record

MEGABYTE = bytes(1 << 20)


def zeros(count: int) -> Iterator[bytes]:
    """So many megabytes of zeros."""
    return repeat(MEGABYTE, count)


def many_entries(count: int) -> Iterator[bytes]:
    """Empty files with names of their own, a thousand at a time."""
    first = header(b"d/000000000")
    rest = sum(first) - sum(first[:11]) - sum(first[148:156]) + sum(b" " * 8)
    for start in range(0, count, 1000):
        blocks = []
        for number in range(start, start + 1000):
            name = b"d/%09d" % number
            checksum = b"%06o\0 " % (rest + sum(name))
            blocks.append(name + first[11:148] + checksum + first[156:])
        yield b"".join(blocks)


def pax_of_a_gigabyte(kind: bytes) -> Iterator[bytes]:
    yield file(b"f", b"1")
    yield header(b"PaxHeader", kind, size=1 << 30)
    yield from zeros(1 << 10)
    yield file(b"g") + END


def endless_headers() -> Iterator[bytes]:
    yield from repeat(extended({b"comment": b"c" * 500}) * 100, 1000)


def sparse(pieces: bytes, size: int) -> bytes:
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"big",
        b"GNU.sparse.realsize": b"%d" % size,
    }
    return extended(records) + header(b"cut", size=len(padded(pieces))) + padded(pieces)


STREAMS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "extended-header-of-a-gigabyte": (lambda: pax_of_a_gigabyte(b"x"), "limit of 1048576"),
    "global-header-of-a-gigabyte": (lambda: pax_of_a_gigabyte(b"g"), "limit of 1048576"),
    "long-name-of-a-gigabyte": (lambda: pax_of_a_gigabyte(b"L"), "limit of 1048576"),
    "headers-without-end": (endless_headers, "limit of 8388608"),
    "path-of-100-kilobytes": (
        lambda: iter([extended({b"path": b"p" * 100_000}), file(b"f"), END]),
        "limit of 65535",
    ),
    "sparse-map-without-end": (
        lambda: iter([sparse(b"9999999\n" + b"0\n0\n" * 200_000, 1 << 40), END]),
        "limit of 65536",
    ),
    "content-that-ends": (
        lambda: iter([header(b"f", size=1 << 40), MEGABYTE]),
        "bad tar",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_over_a_limit_leaves_nothing(name: str, command: Command) -> None:
    feed, words = STREAMS[name]
    command.run("images")
    before = StoreState.of(command.root)
    done = run_measured(command, "import", "-", feed=feed())
    done.assert_refused(words)
    before.assert_same(StoreState.of(command.root))
    assert staging(command.root) == []


def test_entries_take_little_memory_each(command: Command) -> None:
    def feed() -> Iterator[bytes]:
        yield from many_entries(200_000)
        yield END

    done = run_measured(command, "import", "-", feed=feed())
    assert done.code == 0, done.errors
    assert done.peak < 200 << 20


@pytest.mark.long
def test_a_billion_entries_end_at_the_limit(command: Command) -> None:
    done = run_measured(command, "import", "-", feed=many_entries(1_000_000_000), timeout=1200)
    assert "4000000" in done.errors
    assert done.code != 0
    assert done.peak < 3 << 30
    assert StoreState.of(command.root).layers == frozenset()


def test_a_name_a_million_times_is_one_file(layers: Layers) -> None:
    diff_id = layers.add(file(b"f", b"x") * 50_000)
    assert layers.names(diff_id) == ["f"]


def test_a_sparse_file_of_100_gigabytes_is_kept_and_not_expanded(
    layers: Layers, command: Command
) -> None:
    tar = file(b"f") + sparse(b"0\n", 100 << 30) + END
    done = run_measured(command, "import", "-", "big", feed=[tar])
    assert done.code == 0
    assert "more than 17179869184 bytes" in done.errors
    done.assert_small()
    assert disk(command.root) < 1 << 20
    for words in (["ls", "big:/"], ["cp", "big:/.", "/nowhere"], ["run", "big", "true"]):
        refused = run_measured(command, *words)
        refused.assert_refused("raw")


@pytest.mark.long
def test_sparse_files_are_bounded_together(command: Command) -> None:
    tar = sparse(b"0\n", 15 << 30) * 10_000 + END
    done = run_measured(command, "import", "-", "big", feed=[tar])
    assert "more than 34359738368 bytes together" in done.errors
    done.assert_small()


def disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * BLOCK for path in folder.rglob("*") if path.is_file())


PACKERS = {
    "zstd": ["zstd", "-q", "-19", "-c"],
    "bzip2": ["bzip2", "-9", "-c"],
    "xz": ["xz", "-6", "-c"],
}
"""gzip is none of them: no deflate stream gives more than 1,032 bytes for one."""


def bomb_of(codec: str, folder: Path) -> Path:
    """A tar with a file of 5 GiB of zeros, packed in nine pieces after one another."""
    command = PACKERS[codec]
    need_program(command[0])
    head = subprocess.run(
        command, input=header(b"big", size=5 << 30), capture_output=True, check=True
    ).stdout
    with (
        (folder / "piece").open("wb") as output,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output) as program,
    ):
        assert program.stdin is not None
        for megabyte in zeros(640):
            program.stdin.write(megabyte)
    bomb = folder / "bomb"
    bomb.write_bytes(head + (folder / "piece").read_bytes() * 8)
    return bomb


@pytest.mark.long
@pytest.mark.parametrize("codec", PACKERS)
@pytest.mark.parametrize("way", ["import", "load", "add"])
def test_a_bomb_ends_at_the_ratio(
    codec: str, way: str, command: Command, canary: Canary, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    bomb = bomb_of(codec, context)
    (context / "Dockerfile").write_text("FROM scratch\nADD bomb /\n")
    command.run("images")
    before = StoreState.of(command.root)
    words = {
        "import": ["import", str(bomb)],
        "load": ["load", "-i", str(bomb)],
        "add": ["build", str(context)],
    }[way]
    done = run_measured(command, *words, timeout=600)
    assert done.code != 0
    assert "compression ratio of a layer is over the limit of 1100" in done.errors
    done.assert_small()
    before.assert_same(StoreState.of(command.root))
    assert staging(command.root) == []
    canary.assert_untouched()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_in_a_bomb_is_only_bytes(
    pack: Callable[[bytes], bytes], layers: Layers, tmp_path: Path
) -> None:
    inner = pack(bytes(10 << 20))
    diff_id = layers.take(pack(file(b"inner", inner) + END)).diff_id
    assert layers.store.read([diff_id], b"inner") == inner


def test_records_of_one_header_are_bounded(layers: Layers) -> None:
    records = b"".join(record(b"SCHILY.xattr.user.%d" % n, b"v" * 50) for n in range(10_000))
    head = header(b"PaxHeader", b"x", size=len(records)) + padded(records)
    diff_id = layers.add(head, file(b"f"))
    assert len(layers.entry([diff_id], b"f").xattrs) == 10_000
