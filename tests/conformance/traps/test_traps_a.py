"""Tar and compression framing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from fastlayer.errors import FastlayerError, LimitError
from fastlayer.store import Context, CopyOperation, CopySource

from tests.support.command import Command
from tests.support.layers import Layers, digest_of, in_memory
from tests.support.measured import run_measured
from tests.support.requirements import need_program, need_root
from tests.support.tar_blocks import (
    BLOCK,
    DIRECTORY,
    END,
    FILE,
    GNU,
    directory,
    extended,
    file,
    hardlink,
    header,
    long_name,
    padded,
    raw_extended,
    record,
    symlink,
)


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 20, 200], ids="A1-{}-blocks".format)
def test_a1_padding_and_trailer_are_hashed_and_reproduced(blocks: int, layers: Layers) -> None:
    tar = file(b"f", b"content") + bytes(blocks * BLOCK)
    info = layers.take(tar)
    assert info.raw_reason is None
    assert info.diff_id == digest_of(tar)
    assert layers.tar(info.diff_id) == tar
    assert layers.names(info.diff_id) == ["f"]


def test_a2_gzip_members_are_read_to_the_last_and_zeros_are_padding(layers: Layers) -> None:
    tar = file(b"a", b"1" * 5000) + file(b"b", b"2" * 5000) + END
    members = b"".join(gzip.compress(tar[at : at + 1000]) for at in range(0, len(tar), 1000))
    blob = members + bytes(700)
    with in_memory(blob) as descriptor:
        info = layers.store.import_blob(descriptor, digest=digest_of(blob), diff_id=digest_of(tar))
    assert layers.tar(info.diff_id) == tar
    assert layers.store.has_blob(digest_of(blob))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a2_garbage_after_the_end_is_refused(pack: object, layers: Layers) -> None:
    assert callable(pack)
    with pytest.raises(FastlayerError, match=r"after its end|stream"):
        layers.take(pack(file(b"f") + END) + b"garbage")
    assert layers.store.layers() == []


def test_a3_zstd_frames_skippable_frames_and_unknown_sizes(layers: Layers) -> None:
    tar = file(b"a", os.urandom(5000)) + file(b"b", b"2" * 5000) + END
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    frames = [zstd(tar[:3000]), skippable, zstd(tar[3000:])]
    info = layers.take(b"".join([skippable, *frames, skippable]))
    assert info.diff_id == digest_of(tar)


def test_a3_windows_are_accepted_up_to_the_limit(layers: Layers) -> None:
    tar = file(b"a", b"x" * 5000) + END
    assert layers.take(zstd(tar, "--long=27")).diff_id == digest_of(tar)
    with pytest.raises(LimitError, match="window of a zstd frame is over the limit"):
        layers.take(zstd(tar, "--ultra", "--long=31"))


def test_a4_pax_values_are_framed_by_their_length(layers: Layers) -> None:
    value = b"a\n17 linkpath=/etc\nb=\0c\n"
    diff_id = layers.add(extended({b"SCHILY.xattr.user.odd": value}), file(b"f"))
    assert layers.entry([diff_id], b"f").xattrs == {b"user.odd": value}
    assert layers.entry([diff_id], b"f").kind == "file"


@pytest.mark.parametrize("claimed", [0, BLOCK])
def test_a5_the_size_of_pax_counts(claimed: int, layers: Layers) -> None:
    hidden = file(b"hidden", b"smuggled")
    outer = header(b"outer", size=claimed) + hidden
    diff_id = layers.add(extended({b"size": b"%d" % len(hidden)}), outer, file(b"next"))
    assert layers.names(diff_id) == ["next", "outer"]
    assert layers.store.read([diff_id], b"outer") == hidden


MALFORMED = {
    "no-newline": raw_extended(b"11 path=abcX"),
    "short-length": raw_extended(b"5 path=abc\n"),
    "long-length": raw_extended(b"99 path=abc\n"),
    "signed-length": raw_extended(b"+12 path=abc\n"),
    "no-equals": raw_extended(b"9 pathab\n"),
    "no-key": raw_extended(b"8 =abcd\n"),
    "nul-in-path": raw_extended(record(b"path", b"a\0b")),
    "size-no-number": raw_extended(record(b"size", b"1x")),
    "size-negative": raw_extended(record(b"size", b"-1")),
    "long-name-alone": long_name(b"x" * 200),
}


@pytest.mark.parametrize("name", MALFORMED, ids=lambda name: f"A6-{name}")
def test_a6_malformed_extensions_are_never_skipped(name: str, layers: Layers) -> None:
    end = b"" if name == "long-name-alone" else file(b"f", b"data")
    reason = layers.raw(file(b"before"), MALFORMED[name], end)
    assert reason


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"], ids=lambda kind: f"A7-{kind.decode()}")
def test_a7_a_size_that_is_only_claimed_allocates_nothing(kind: bytes, command: Command) -> None:
    claim = header(b"PaxHeader", kind, size=1 << 30, magic=GNU)
    done = run_measured(command, "import", "-", feed=[file(b"f"), claim, bytes(BLOCK)])
    done.assert_small()
    sparse = extended({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"})
    body = header(b"s", size=1 << 30) + padded(b"999999999999\n")
    done = run_measured(command, "import", "-", feed=[sparse, body])
    done.assert_refused()


def test_a8_global_headers_mean_nothing_and_stay(layers: Layers) -> None:
    first = extended({b"comment": b"0123", b"uid": b"7", b"path": b"no"}, b"g")
    diff_id = layers.add(first, file(b"f"))
    assert layers.names(diff_id) == ["f"]
    assert layers.entry([diff_id], b"f").uid == 0
    assert layers.tar(diff_id) == first + file(b"f") + END


def test_a9_long_names_and_prefixes_have_one_meaning(layers: Layers) -> None:
    long = b"d/" + b"x" * 150
    hundred = b"h" * 100
    diff_id = layers.add(
        long_name(long),
        file(b"cut"),
        extended({b"path": b"from-pax"}) + long_name(b"from-gnu") + file(b"cut"),
        header(b"name", prefix=b"pre/fix"),
        header(hundred),
        header(b"slash/", FILE),
        header(b"old-directory/", b"\0"),
        long_name(long, b"K") + header(b"link", b"2", link=b"cut"),
    )
    expected = ["d/", long.decode(), "from-gnu", hundred.decode(), "link", "old-directory/"]
    assert layers.names(diff_id) == [*expected, "pre/", "pre/fix/", "pre/fix/name", "slash"]
    assert layers.entry([diff_id], b"link").link == long


def test_a10_large_and_negative_numbers_are_read_and_written(layers: Layers) -> None:
    numbers = [(4_000_000_000, -1), (2_097_152, 8_589_934_592), (0, -62_135_596_800)]
    members = [file(b"%d" % at, uid=uid, mtime=mtime) for at, (uid, mtime) in enumerate(numbers)]
    fine = extended({b"mtime": b"-1.25"}) + file(b"fine")
    diff_id = layers.add(*members, fine)
    for chain in ([diff_id], [layers.store.squash_layers([], [diff_id]).diff_id]):
        for at, (uid, mtime) in enumerate(numbers):
            entry = layers.entry(chain, b"%d" % at)
            assert (entry.uid, entry.mtime[0]) == (uid, mtime)
        assert layers.entry(chain, b"fine").mtime[0] == -2


def test_a11_the_three_flags_of_files_are_files_and_stay(layers: Layers) -> None:
    tar = b"".join(header(name, kind) for name, kind in ((b"a", b"\0"), (b"b", b"0"), (b"c", b"7")))
    diff_id = layers.add(tar)
    assert {layers.entry([diff_id], name).kind for name in (b"a", b"b", b"c")} == {"file"}
    assert layers.tar(diff_id) == tar + END


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"], ids="A12-{}".format)
def test_a12_sparse_files_are_read_and_never_written(
    form: str, layers: Layers, tmp_path: Path
) -> None:
    holey = tmp_path / "holey"
    with holey.open("wb") as output:
        for offset in (0, 1 << 20, 3 << 20):
            output.seek(offset)
            output.write(b"data" * 3000)
        output.truncate(5 << 20)
    kind = ["--format=gnu"] if form == "gnu" else ["--format=pax", f"--sparse-version={form}"]
    done = subprocess.run(
        [need_program("tar"), "--sparse", *kind, "-C", tmp_path, "-cf", "-", "holey"],
        check=True,
        capture_output=True,
    )
    assert len(done.stdout) < 1 << 20
    info = layers.take(done.stdout)
    assert info.raw_reason is None
    assert layers.store.read([info.diff_id], b"holey") == holey.read_bytes()
    ours = layers.tar(layers.store.squash_layers([], [info.diff_id]).diff_id)
    with tarfile.open(fileobj=io.BytesIO(ours)) as archive:
        member = archive.next()
        assert member is not None
        assert (member.name, member.size, member.issparse()) == ("holey", 5 << 20, False)


def test_a13_holes_take_no_disk(layers: Layers, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    with (context / "lastlog").open("wb") as output:
        output.write(b"login")
        output.seek(256 << 20)
        output.write(b"login")
    operation = CopyOperation([CopySource.context(Context(str(context)), b".")], b"/")
    info = layers.store.copy_layer([], operation)
    assert info.content_size == (256 << 20) + 5
    assert used(layers.store.root) < 2 << 20
    written = layers.written([info.diff_id], tmp_path / "written") / "lastlog"
    assert written.stat().st_size == info.content_size
    assert used(written.parent) < 2 << 20


def used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def test_a14_the_last_of_two_members_counts_and_both_stay(layers: Layers) -> None:
    tar = file(b"f", b"first") + symlink(b"g", b"f") + file(b"./f", b"second") + file(b"g", b"3")
    diff_id = layers.add(tar)
    assert layers.names(diff_id) == ["f", "g"]
    assert layers.store.read([diff_id], b"f") == b"second"
    assert layers.entry([diff_id], b"g").kind == "file"
    assert layers.tar(diff_id) == tar + END


def test_a15_names_are_bytes_throughout(layers: Layers, command: Command, tmp_path: Path) -> None:
    name, target = b"n\xff\xfe\n\xc3\xa9", b"t\x80\xe9"
    records = {b"SCHILY.xattr.user.\xe9": b"\xff\0\n"}
    diff_id = layers.add(extended(records), file(name, b"content"), symlink(b"link", target))
    chain = [diff_id]
    assert layers.store.read(chain, name) == b"content"
    assert layers.entry(chain, b"link").link == target
    assert layers.entry(chain, name).xattrs == {b"user.\xe9": b"\xff\0\n"}
    folder = layers.written(chain, tmp_path / "written")
    assert set(os.listdir(os.fsencode(folder))) == {name, b"link"}
    command.run("import", "-", "odd", stdin=layers.tar(diff_id))
    command.run("cp", "odd:/.", tmp_path / "copied")
    assert set(os.listdir(os.fsencode(tmp_path / "copied"))) == {name, b"link"}
    assert os.readlink(os.fsencode(tmp_path / "copied" / "link")) == target
    assert name in command.run("cp", "odd:/.", "-").stdout


@pytest.mark.parametrize("name", [b".", b"./", b"/", b"//", b"./."])
def test_a16_names_of_the_root_are_the_root(name: bytes, layers: Layers) -> None:
    diff_id = layers.add(header(name, DIRECTORY, mode=0o711), file(b"f"))
    assert layers.names(diff_id) == ["f"]
    assert layers.entry([diff_id], b"").mode == 0o711


@pytest.mark.parametrize("name", [b"", b".", b"./", b"/", b"//", b"./."])
def test_a16_what_cannot_be_in_the_place_of_the_root_is_passed_over(
    name: bytes, layers: Layers
) -> None:
    diff_id = layers.add(file(name, b"data"), symlink(name, b"/etc"), file(b"f"))
    assert layers.names(diff_id) == ["f"]
    assert layers.entry([diff_id], b"").kind == "directory"


def test_a16_nul_in_a_name_is_refused(layers: Layers) -> None:
    assert "NUL" in layers.raw(extended({b"path": b"a\0b"}), file(b"f"))


def test_a17_missing_parents_are_those_of_the_tree_below(layers: Layers) -> None:
    first = layers.add(directory(b"d", mode=0o700, uid=5), file(b"d/old"))
    second = layers.add(directory(b"d", mode=0o1777, uid=6))
    top = layers.add(file(b"d/new"), file(b"made/f"), file(b"x"), hardlink(b"links/h", b"x"))
    checkouts = set()
    for base, mode, uid in ((first, 0o700, 5), (second, 0o1777, 6)):
        entry = layers.entry([base, top], b"d")
        assert (entry.mode, entry.uid) == (mode, uid)
        for made in (b"made", b"links"):
            entry = layers.entry([base, top], made)
            assert (entry.mode, entry.uid, entry.gid) == (0o755, 0, 0)
        checkouts.add(layers.store.checkout([base, top]).directories[0])
    assert len(checkouts) == 2, "a layer that leans on what is below has a checkout for each"


@pytest.mark.parametrize("source", ["/sys/kernel/uevent_seqnum"])
def test_a18_a_file_that_is_not_as_long_as_it_says_is_refused(
    source: str, layers: Layers, tmp_path: Path
) -> None:
    need_root()
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").touch()
    subprocess.run(["mount", "--bind", source, context / "f"], check=True)
    try:
        operation = CopyOperation([CopySource.context(Context(str(context)), b"f")], b"/f")
        assert (context / "f").stat().st_size != len((context / "f").read_bytes())
        with pytest.raises(FastlayerError, match="changed while it was read"):
            layers.store.copy_layer([], operation)
    finally:
        subprocess.run(["umount", context / "f"], check=True)
    assert layers.store.layers() == []


def test_a19_a_second_archive_after_the_end_is_kept_and_not_read(layers: Layers) -> None:
    tar = file(b"a") + END + file(b"b", b"smuggled") + END
    info = layers.take(tar)
    assert layers.names(info.diff_id) == ["a"]
    assert layers.tar(info.diff_id) == tar
    again = layers.store.squash_layers([], [info.diff_id]).diff_id
    assert b"smuggled" not in layers.tar(again)


def test_a20_depth_and_entries_are_bounded(layers: Layers) -> None:
    deep = b"/".join([b"d"] * 2048)
    assert layers.add(file(deep))
    with pytest.raises(LimitError, match="components of a path is over the limit of 2048"):
        layers.add(file(deep + b"/e"))
    with pytest.raises(LimitError):
        layers.store.read([layers.add(file(b"f", b"four"))], b"f", limit=3)


def zstd(data: bytes, *options: str) -> bytes:
    """What the program gives for a pipe: the frame does not say its size."""
    done = subprocess.run(
        [need_program("zstd"), "-q", *options, "-c"], input=data, capture_output=True, check=True
    )
    return done.stdout
