"""The stored form of a segment: docs/formats/segment.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.conformance.formats.reader.compressed import one_frame
from tests.conformance.formats.reader.fields import Fields
from tests.conformance.formats.reader.hashes import content_id
from tests.conformance.formats.reader.refusal import OtherVersionError, RefusedError, check

MAGIC = b"FLSEGM01"
MAX_TAR_BYTES = 4 << 20
MAX_OPERATIONS = 8 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment file says; ``operations`` is expanded."""

    objects: tuple[bytes, ...]
    tar_bytes: int
    operations: bytes


def read_segment(data: bytes) -> Segment:
    """A segment from its stored form."""
    fields = Fields(data)
    magic = fields.take(8)
    if magic[:6] == MAGIC[:6] and magic != MAGIC:
        raise OtherVersionError(f"a segment of version {magic[6:]!r}")
    check(magic == MAGIC, "no segment")
    count = fields.number(4)
    check(fields.number(4) == 0, "bytes 12 to 15 are not 0")
    tar_bytes = fields.number(8)
    expanded = fields.number(8)
    check(tar_bytes <= MAX_TAR_BYTES and expanded <= MAX_OPERATIONS, "beyond the limits")
    objects = fields.digests(count)
    return Segment(objects, tar_bytes, one_frame(fields.take(fields.left), expanded))


def expand(segment: Segment, content: Callable[[bytes], bytes]) -> bytes:
    """The tar bytes of a segment; ``content`` gives the bytes of an object."""
    fields = Fields(segment.operations)
    pieces = []
    total = 0
    while fields.left:
        number = fields.seven_bits()
        kind, length = number & 3, number >> 2
        total += length
        check(total <= segment.tar_bytes, "more bytes than the segment has")
        if kind == 0:
            pieces.append(fields.take(length))
        elif kind == 1:
            index = fields.seven_bits()
            check(index < len(segment.objects), "an object that is not in the list")
            data = content(segment.objects[index])
            check(len(data) == length, "an object of another length")
            pieces.append(data)
        elif kind == 2:
            pieces.append(bytes(length))
        else:
            raise RefusedError("an operation of kind 3")
    check(total == segment.tar_bytes, "fewer bytes than the segment has")
    return b"".join(pieces)


def expand_checked(data: bytes, name: bytes, content: Callable[[bytes], bytes]) -> bytes:
    """The tar bytes of a segment file, checked against its name."""
    found = expand(read_segment(data), content)
    check(content_id(found) == name, f"segment {name.hex()} has other bytes")
    return found
