"""Input that asks for more memory or disk than it has: each ends at a named limit."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path

import pytest

from tests.support.canary import Canary
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.measured import run_measured
from tests.support.requirements import need_program
from tests.support.store_state import StoreState, staging
from tests.support.tar_blocks import END, extended, file, header, padded, record

MEGABYTE = bytes(1 << 20)


def zeros(count: int) -> Iterator[bytes]:
    """So many megabytes of zeros."""
    return repeat(MEGABYTE, count)


def many_entries(count: int, form: bytes = b"d/%09d") -> Iterator[bytes]:
    """Empty files with names of their own, eleven bytes each, a thousand at a time."""
    first = header(form % 0)
    rest = sum(first) - sum(first[:11]) - sum(first[148:156]) + sum(b" " * 8)
    for start in range(0, count, 1000):
        blocks = []
        for number in range(start, start + 1000):
            name = form % number
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


def deep_paths(count: int) -> Iterator[bytes]:
    """Files in two thousand directories each, of which the tar has none."""
    for number in range(count):
        path = b"%d" % number + b"/d" * 2046 + b"/f"
        yield extended({b"path": path}) + header(b"f")


def attributes(records: dict[bytes, bytes]) -> Iterator[bytes]:
    """Files without end that have these attributes."""
    head = extended({b"SCHILY.xattr.user." + name: value for name, value in records.items()})
    for number in count():
        yield head + header(b"%d" % number)


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
    "path-of-3000-components": (
        lambda: iter([file(b"a"), extended({b"path": b"p/" * 3000}), file(b"f"), END]),
        "components of a path is over the limit of 2048",
    ),
    "hard-link-to-3000-components": (
        lambda: iter([extended({b"linkpath": b"p/" * 3000}), header(b"f", b"1"), END]),
        "components of a path is over the limit of 2048",
    ),
    "directories-that-links-make-deep": (
        lambda: iter(
            [
                header(b"l", b"2", link=b"d/" * 40),
                extended({b"path": b"l/" + b"e/" * 2030}),
                file(b"f"),
                END,
            ]
        ),
        "components of a path is over the limit of 2048",
    ),
    "links-without-end": (
        lambda: iter([header(b"l", b"2", link=b"l"), file(b"l/f"), END]),
        "symbolic links on the way to a path is over the limit of 40",
    ),
    "directories-without-end": (
        lambda: deep_paths(1_000_000),
        "paths, link targets and attributes is over the limit of 1073741824",
    ),
    "sparse-file-of-100-gigabytes": (
        lambda: iter([file(b"f"), sparse(b"0\n", 100 << 30), END]),
        "size of the sparse file big is over the limit of 17179869184",
    ),
    "sparse-file-of-8-exabytes": (
        lambda: iter([file(b"f"), sparse(b"0\n", (1 << 63) - 1), END]),
        "size of the sparse file big is over the limit of 17179869184",
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
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("form", "what"),
    [(b"d/%09d", "number of entries"), (b"%09d/d", "number of paths of a layer")],
    ids=["entries", "implied directories"],
)
def test_a_billion_entries_end_at_the_limit(form: bytes, what: str, command: Command) -> None:
    done = run_measured(command, "import", "-", feed=many_entries(1_000_000_000, form))
    assert f"{what} is over the limit of 4000000" in done.errors
    assert done.code != 0
    assert done.peak < 3 << 30
    assert StoreState.of(command.root).layers == frozenset()


def test_a_name_a_million_times_is_one_file(layers: Layers) -> None:
    diff_id = layers.add(file(b"f", b"x") * 50_000)
    assert layers.names(diff_id) == ["f"]


def test_a_limit_has_a_hint(command: Command) -> None:
    done = run_measured(command, "import", "-", feed=[sparse(b"0\n", 100 << 30) + END])
    done.assert_refused("hint: make it smaller or split it up")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_sparse_files_are_bounded_together(command: Command) -> None:
    command.run("images")
    before = StoreState.of(command.root)
    tar = sparse(b"0\n", 15 << 30) * 10_000 + END
    done = run_measured(command, "import", "-", "big", feed=[tar])
    done.assert_refused("sparse files together is over the limit of 34359738368")
    before.assert_same(StoreState.of(command.root))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "records",
    [{b"a": bytes(1 << 20)[:-100]}, {b"%d" % n: b"" for n in range(25_000)}],
    ids=["long", "many"],
)
def test_attributes_are_bounded_together(records: dict[bytes, bytes], command: Command) -> None:
    """They are in memory until the layer is complete."""
    command.run("images")
    before = StoreState.of(command.root)
    done = run_measured(command, "import", "-", feed=attributes(records))
    assert "attributes is over the limit of 1073741824" in done.errors
    assert done.code != 0
    assert done.peak < 3 << 30
    before.assert_same(StoreState.of(command.root))


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        (["zstd", "-q", "--ultra", "--long=31", "-c"], "window of a zstd frame"),
        (["xz", "-c", "--lzma2=dict=1GiB"], "memory that an xz stream asks for"),
    ],
    ids=["zstd", "xz"],
)
def test_memory_for_decompressing_is_bounded(
    words: list[str], limit: str, command: Command
) -> None:
    done = run_measured(command, "import", "-", feed=[packed(words, file(b"f") + END)])
    done.assert_refused(f"{limit} is over the limit of")


PACKERS = {
    "zstd": ["zstd", "-q", "-19", "-c"],
    "bzip2": ["bzip2", "-9", "-c"],
    "xz": ["xz", "-6", "-c"],
}
"""gzip is none of them: no deflate stream gives more than 1,032 bytes for one."""


def packed(command: Sequence[str], plain: bytes) -> bytes:
    need_program(command[0])
    return subprocess.run(command, input=plain, capture_output=True, check=True).stdout


@pytest.fixture(scope="module", params=PACKERS)
def bomb(request: pytest.FixtureRequest) -> bytes:
    """A tar with a file of 5 GiB of zeros, packed in pieces after one another."""
    command = PACKERS[request.param]
    head = packed(command, header(b"big", size=5 << 30))
    return head + packed(command, bytes(128 << 20)) * 40


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", ["import", "load", "add"])
def test_a_bomb_ends_at_the_ratio(
    bomb: bytes, way: str, command: Command, canary: Canary, tmp_path: Path
) -> None:
    """At the end of 4 GiB, which are hashed: about twenty seconds of processor time."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "bomb").write_bytes(bomb)
    (context / "Dockerfile").write_text("FROM scratch\nADD bomb /\n")
    command.run("images")
    before = StoreState.of(command.root)
    words = {
        "import": ["import", str(context / "bomb")],
        "load": ["load", "-i", str(context / "bomb")],
        "add": ["build", str(context)],
    }[way]
    done = run_measured(command, *words)
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
