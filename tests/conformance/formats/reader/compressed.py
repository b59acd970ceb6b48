"""zstd frames and gzip members, decompressed within a limit."""

from __future__ import annotations

import zlib

import zstandard

from tests.conformance.formats.reader.refusal import RefusedError, check


def one_frame(data: bytes, size: int) -> bytes:
    """The bytes of exactly one zstd frame, which must be as many as they are said to be."""
    try:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        found = decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise RefusedError(f"a zstd frame: {error}") from error
    check(decompressor.eof and not decompressor.unused_data, "not exactly one zstd frame")
    check(len(found) == size, f"{len(found)} bytes in a frame of {size}")
    return found


def zstd_frames(data: bytes) -> list[bytes]:
    """The bytes of each zstd frame of a concatenation."""
    found = []
    while data:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        found.append(decompressor.decompress(data))
        check(decompressor.eof, "a zstd frame is cut short")
        data = decompressor.unused_data
    return found


def gzip_members(data: bytes) -> list[bytes]:
    """The bytes of each gzip member of a concatenation."""
    found = []
    while data:
        decompressor = zlib.decompressobj(wbits=31)
        found.append(decompressor.decompress(data))
        check(decompressor.eof, "a gzip member is cut short")
        data = decompressor.unused_data
    return found
