"""Blobs of zstd:chunked: docs/formats/export.md, "zstd:chunked"."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.formats.reader.compressed import one_frame, zstd_frames
from tests.conformance.formats.reader.export import Table
from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.hashes import sha256
from tests.conformance.formats.reader.refusal import RefusedError, check

FOOTER_BYTES = 64
SKIPPED = bytes.fromhex("502a4d18")
ANNOTATIONS = "io.github.containers.zstd-chunked."
_ZEROS = re.compile(rb"\0{1024,}")
_WINDOW = 64
_CRC_POLYNOMIAL = 0xD800000000000000


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_CRC_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a content, as the table of a unit has it."""

    size: int
    frame: int
    zeros: bool
    digest: bytes


@dataclass(frozen=True, slots=True)
class UnitPart:
    """A part of a unit: the chunks of a content, or the one frame of what stands between."""

    frame: int
    chunks: tuple[Chunk, ...] = ()
    digest: bytes = b""
    crc: bytes = b""


@dataclass(frozen=True, slots=True)
class ChunkedBlob:
    """What the closing frames of a blob say."""

    table: Table
    entries: list[dict[str, Any]]
    tar_split: list[dict[str, Any]]


def read_chunked(blob: bytes) -> ChunkedBlob:
    """The closing frames of a blob, checked against each other."""
    fields = Fields(blob, len(blob) - FOOTER_BYTES)
    start, length, expanded, one = (fields.number(8) for _ in range(4))
    split_start, split_length, split_expanded = (fields.number(8) for _ in range(3))
    check(one == 1 and fields.take(8) == b"GNUlInUx", "no footer")
    contents, tar_split = (start, length, expanded), (split_start, split_length, split_expanded)
    for offset, size, _ in (contents, tar_split, (len(blob) - FOOTER_BYTES, FOOTER_BYTES, 0)):
        head = Fields(blob, offset - 8)
        check(head.take(4) == SKIPPED and head.number(4) == size, "no skippable frame")
    frame, split = blob[start : start + length], blob[split_start : split_start + split_length]
    document = json.loads(one_frame(frame, expanded))
    check(document["version"] == 1, "a table of contents of another version")
    check(document["tarSplitDigest"] == _digest(split), "other tar-split data")
    lines = one_frame(split, split_expanded).decode().splitlines()
    return ChunkedBlob(
        Table(sha256(frame), contents, tar_split),
        document["entries"],
        [json.loads(line) for line in lines],
    )


def descriptor_annotations(table: Table) -> dict[str, str]:
    """The annotations that the blob's descriptor has."""
    return {
        f"{ANNOTATIONS}manifest-checksum": f"sha256:{table.digest.hex()}",
        f"{ANNOTATIONS}manifest-position": ":".join(map(str, (*table.contents, 1))),
        f"{ANNOTATIONS}tarsplit-position": ":".join(map(str, table.tar_split)),
    }


def read_unit(table: bytes, parts: Sequence[int]) -> list[UnitPart]:
    """The table of a unit; ``parts`` are 0 between contents, 1 part of a content, 2 a whole one."""
    fields = Fields(table)
    found = []
    for part in parts:
        if part == 0:
            found.append(UnitPart(fields.number(8)))
            continue
        chunks = []
        for _ in range(fields.number(8)):
            size, frame, zeros = fields.number(8), fields.number(8), fields.number(1)
            chunks.append(Chunk(size, frame, bool(zeros), fields.take(32)))
        frames = sum(chunk.frame for chunk in chunks)
        digest, crc = (fields.take(32), fields.take(8)) if part == 2 else (b"", b"")
        found.append(UnitPart(frames, tuple(chunks), digest, crc))
    check(not fields.left, "bytes behind the table of a unit")
    return found


def files_of(blob: bytes, chunked: ChunkedBlob) -> dict[str, bytes]:
    """The contents of the regular files, made of their chunks; every digest is checked."""
    found: dict[str, bytes] = {}
    current: dict[str, Any] = {}
    chunks: list[dict[str, Any]] = []
    for entry in [*chunked.entries, {"type": "end", "name": ""}]:
        if entry["type"] == "chunk":
            check(entry["name"] == current["name"], "a chunk of another file")
            chunks.append(entry)
            continue
        if current.get("type") == "reg":
            found[current["name"]] = _content(blob, current, chunks)
        current, chunks = entry, [entry]
    return found


def _content(blob: bytes, entry: dict[str, Any], chunks: list[dict[str, Any]]) -> bytes:
    end = entry.get("endOffset", 0)
    ends = [chunk["offset"] for chunk in chunks[1:]] + [end]
    found = b""
    if end:
        for chunk, stop in zip(chunks, ends, strict=True):
            data = b"".join(zstd_frames(blob[chunk["offset"] : stop]))
            if len(chunks) > 1:
                check(chunk.get("chunkOffset", 0) == len(found), "a chunk elsewhere")
                check(chunk["chunkSize"] == len(data), "a chunk of another size")
                check(chunk["chunkDigest"] == _digest(data), "another chunk")
                zeros = chunk.get("chunkType") == "zeros"
                check(not (zeros and any(data)), "zeros that are none")
            found += data
    check(len(found) == entry.get("size", 0), f"{entry['name']} has another size")
    check(not found or entry["digest"] == _digest(found), f"{entry['name']} has other bytes")
    return found


def tar_of(chunked: ChunkedBlob, files: dict[str, bytes]) -> bytes:
    """The tar, made of the tar-split data and the files."""
    found = []
    for position, line in enumerate(chunked.tar_split):
        check(line["position"] == position, "a line is missing")
        if line["type"] == 2:
            found.append(base64.b64decode(line["payload"]))
        elif line["type"] == 1:
            size = line.get("size", 0)
            content = files[line["name"]] if size else b""
            check(len(content) == size, "a file of another size")
            check(line["payload"] == _crc_text(content), "a file with another sum")
            found.append(content)
        else:
            raise RefusedError("a line of another type")
    return b"".join(found)


def crc(content: bytes) -> bytes:
    """CRC-64 of ISO 3309, big-endian."""
    value = 0xFFFFFFFFFFFFFFFF
    for byte in content:
        value = _CRC[(value ^ byte) & 0xFF] ^ value >> 8
    return (value ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")


def _crc_text(content: bytes) -> str | None:
    return base64.b64encode(crc(content)).decode() if content else None


def _digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hex()}"


def cut(content: bytes) -> list[tuple[int, bool]]:
    """The chunks of a content that is in one unit: their lengths, and whether they are zeros."""
    found: list[tuple[int, bool]] = []
    start = 0
    for run in _ZEROS.finditer(content):
        found += [(length, False) for length in _rolled(content[start : run.start()])]
        found.append((run.end() - run.start(), True))
        start = run.end()
    return found + [(length, False) for length in _rolled(content[start:])]


def _rolled(content: bytes) -> list[int]:
    """The chunks of bytes that stand at the start of a content or behind a run of zeros."""
    found = []
    first, second = _WINDOW * 31, _WINDOW * (_WINDOW - 1) * 31
    start = 0
    for at, (entering, leaving) in enumerate(zip(content, bytes(_WINDOW) + content, strict=False)):
        first += entering - leaving
        second += first - _WINDOW * (leaving + 31)
        if second & 0xFFFF == 0xFFFF:
            found.append(at + 1 - start)
            start = at + 1
    return [*found, len(content) - start] if len(content) > start else found
