"""What saving an image leaves, and what it gives, read by the second reader."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.formats.reader import chunked, export
from tests.conformance.formats.reader.compressed import gzip_members, zstd_frames
from tests.conformance.formats.reader.hashes import sha256
from tests.conformance.formats.reader.recipe import read_recipe, runs
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.reader.tar import members
from tests.conformance.formats.sample import Sample
from tests.conformance.formats.test_layers import assert_found

MAX_CUT = 500_000
"""Contents up to here are cut by the test as well: each is in one unit."""


@dataclass(frozen=True)
class Saved:
    """A layer as one export gave it."""

    diff_id: bytes
    settings: str
    record: export.Export
    blob: bytes
    tar: bytes
    groups: list[export.Group]


@pytest.fixture(scope="module")
def saved(sample: Sample) -> list[Saved]:
    store = StoreFiles(sample.root)
    found = []
    for path in records(sample):
        digits, _, settings = path.name.partition(".")
        diff_id = bytes.fromhex(digits)
        record = export.read_export(path.read_bytes())
        recipe = read_recipe(store.recipe(diff_id), diff_id)
        found.append(
            Saved(
                *(diff_id, settings, record, export.blob_of(sample.root, record)),
                *(b"".join(runs(recipe, store)), export.groups(recipe, store)),
            )
        )
    return found


def records(sample: Sample) -> list[Path]:
    return sorted((sample.root / "cache" / "exports").iterdir())


def test_the_frames_of_a_record_are_its_blob(saved: list[Saved]) -> None:
    assert {one.settings.partition("-")[0] for one in saved} == {"gzip", "zstd", "chunked"}
    for one in saved:
        assert sha256(one.blob) == one.record.digest
        assert len(one.blob) == one.record.size


def test_the_frames_hold_the_rows_that_the_text_says(saved: list[Saved]) -> None:
    parts: dict[str, Callable[[bytes], list[bytes]]] = {"gzip": gzip_members, "zstd": zstd_frames}
    for codec, read in parts.items():
        for one in of(saved, codec):
            found = read(one.blob)
            assert b"".join(found) == one.tar
            assert [len(part) for part in found] == [group.size for group in one.groups]


def test_frames_are_named_by_what_they_hold(saved: list[Saved]) -> None:
    for one in saved:
        found = [part.key for part in one.record.parts]
        if one.settings.startswith("chunked"):
            cuts = [list(cut) for cut in unit_parts(one)]
            wanted = export.unit_keys(one.groups, cuts, one.settings)
            wanted.append(export.closing_key(one.diff_id, one.settings))
        else:
            wanted = export.frame_keys(one.groups, one.settings)
        assert found == wanted


def test_archives_hold_the_blobs_of_the_records(sample: Sample, saved: list[Saved]) -> None:
    digests = {f"sha256:{one.record.digest.hex()}" for one in saved}
    for archive in sample.saved.values():
        for layer in manifest(archive)["layers"]:
            assert layer["digest"] in digests


def test_a_blob_of_chunks_gives_files_and_tar(sample: Sample, saved: list[Saved]) -> None:
    (one,) = of(saved, "chunked")
    found = chunked.read_chunked(one.blob)
    assert found.table == one.record.table
    (layer,) = manifest(sample.saved["zstd:chunked"])["layers"]
    assert layer["annotations"].items() >= chunked.descriptor_annotations(found.table).items()
    files = chunked.files_of(one.blob, found)
    assert chunked.tar_of(found, files) == one.tar
    assert b"".join(zstd_frames_of(one.blob)) == one.tar
    names = [entry["name"].encode() for entry in found.entries if entry["type"] != "chunk"]
    assert names == [member.name for member in members(one.tar)]
    cut = 0
    for name, content in files.items():
        if 0 < len(content) < MAX_CUT:
            assert [size for size, _ in chunked.cut(content)] == sizes(found, name, len(content))
            cut += 1
    assert cut > 2


def test_a_unit_s_table_says_where_its_chunks_are(sample: Sample, saved: list[Saved]) -> None:
    (one,) = of(saved, "chunked")
    units = list(unit_parts(one))
    for part, cut in zip(one.record.parts, units, strict=False):
        data = export.frame_file(sample.root, part.key).read_bytes()
        frame = export.read_frame(data, part.key)
        unit = chunked.read_unit(frame.table, [kind for kind, _ in cut])
        at = 0
        for said, (kind, length) in zip(unit, cut, strict=True):
            content = b"".join(zstd_frames(frame.blob[at : at + said.frame]))
            assert len(content) == length
            assert kind != 2 or (said.digest, said.crc) == (sha256(content), chunked.crc(content))
            begin = 0
            for chunk in said.chunks:
                piece = content[begin : begin + chunk.size]
                assert sha256(piece) == chunk.digest
                assert not (chunk.zeros and any(piece))
                begin += chunk.size
            at += said.frame
        assert at == len(frame.blob)


def test_a_flipped_bit_of_a_record_is_found(sample: Sample) -> None:
    assert_found(records(sample)[0].read_bytes(), export.read_export)


def test_a_flipped_bit_of_a_frame_is_found(sample: Sample, saved: list[Saved]) -> None:
    for codec in ("gzip", "chunked"):
        part = min(of(saved, codec)[0].record.parts, key=lambda part: part.size)
        data = export.frame_file(sample.root, part.key).read_bytes()
        assert_found(data, lambda data, key=part.key: export.read_frame(data, key))  # type: ignore[misc]


def of(saved: list[Saved], codec: str) -> list[Saved]:
    found = [one for one in saved if one.settings.startswith(f"{codec}-")]
    assert found
    return found


def unit_parts(one: Saved) -> Iterator[list[tuple[int, int]]]:
    """The parts of each unit, as kind and length."""
    contents = [(m.content, m.content + m.stored) for m in members(one.tar) if m.stored]
    start = 0
    for group in one.groups:
        at, end = start, start + group.size
        cut: list[tuple[int, int]] = []
        for begin, finish in contents:
            if finish <= start or begin >= end:
                continue
            if begin > at:
                cut.append((0, begin - at))
            first, last = max(begin, start), min(finish, end)
            whole = (first, last) == (begin, finish)
            cut.append((2 if whole else 1, last - first))
            at = last
        if at < end:
            cut.append((0, end - at))
        yield cut
        start = end


def zstd_frames_of(blob: bytes) -> list[bytes]:
    """The frames of a blob as any reader of zstd sees them: those that are skipped give nothing."""
    found = chunked.read_chunked(blob)
    first = min(found.table.contents[0], found.table.tar_split[0]) - 8
    return zstd_frames(blob[:first])


def sizes(found: chunked.ChunkedBlob, name: str, size: int) -> list[int]:
    entries = [entry for entry in found.entries if entry["name"] == name]
    return [entry.get("chunkSize", size) for entry in entries]


def manifest(archive: Path) -> Any:
    """The only manifest of a saved archive."""
    with tarfile.open(archive) as opened:
        index = json.load(opened.extractfile("index.json"))  # type: ignore[arg-type]
        digits = index["manifests"][0]["digest"].removeprefix("sha256:")
        return json.load(opened.extractfile(f"blobs/sha256/{digits}"))  # type: ignore[arg-type]
