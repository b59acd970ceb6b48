"""Tars made header by header, for what no tar program would write.

Each function gives bytes; a tar is their concatenation with :data:`END` behind. Fields take what
they are given: nothing is checked, so that a test can say anything.
"""

from __future__ import annotations

from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)
"""The two blocks that end an archive."""
EPOCH = 1_700_000_000
"""The mtime of what does not say another, seconds."""

FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = (b"%d" % n for n in range(7))
USTAR = b"ustar\x0000"
GNU = b"ustar  \x00"


def header(
    name: bytes,
    kind: bytes = FILE,
    *,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = EPOCH,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    magic: bytes = USTAR,
) -> bytes:
    """One header block; numbers that do not fit in octal are in base 256."""
    block = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            number(mode, 8),
            number(uid, 8),
            number(gid, 8),
            number(size, 12),
            number(mtime, 12),
            b" " * 8,
            kind,
            link[:100].ljust(100, b"\0"),
            magic,
            bytes(64),
            number(device[0], 8),
            number(device[1], 8),
            prefix[:155].ljust(155, b"\0"),
        )
    ).ljust(BLOCK, b"\0")
    return with_checksum(block)


def with_checksum(block: bytes) -> bytes:
    """The block with the right sum of its bytes in it."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def number(value: int, width: int) -> bytes:
    """A numeric field: octal where it fits, else base 256."""
    text = b"%0*o" % (width - 1, value) if value >= 0 else b""
    if 0 < len(text) < width:
        return text + b"\0"
    marker = 0x80 if value >= 0 else 0xFF
    return bytes([marker]) + (value % (1 << 8 * (width - 1))).to_bytes(width - 1, "big")


def padded(content: bytes) -> bytes:
    """Content, filled up to a block."""
    return content + bytes(-len(content) % BLOCK)


def file(
    name: bytes, content: bytes = b"", *, mode: int = 0o644, uid: int = 0, mtime: int = EPOCH
) -> bytes:
    """A regular file."""
    head = header(name, size=len(content), mode=mode, uid=uid, mtime=mtime)
    return _long(name) + head + padded(content)


def directory(name: bytes, *, mode: int = 0o755, uid: int = 0, mtime: int = EPOCH) -> bytes:
    """A directory."""
    return _long(name) + header(name, DIRECTORY, mode=mode, uid=uid, mtime=mtime)


def symlink(name: bytes, target: bytes) -> bytes:
    """A symbolic link."""
    return _long(name) + _long(target, b"K") + header(name, SYMLINK, mode=0o777, link=target)


def hardlink(name: bytes, target: bytes) -> bytes:
    """A hard link to an earlier name."""
    return _long(name) + _long(target, b"K") + header(name, HARDLINK, link=target)


def record(key: bytes, value: bytes) -> bytes:
    """One record of an extended header, its own length in front."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def extended(records: Mapping[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header (``x``) for the next member, or a global one (``g``)."""
    return raw_extended(b"".join(record(key, value) for key, value in records.items()), kind)


def raw_extended(body: bytes, kind: bytes = b"x") -> bytes:
    """An extended header with this body, whatever it is."""
    return header(b"PaxHeader", kind, size=len(body)) + padded(body)


def long_name(text: bytes, kind: bytes = b"L") -> bytes:
    """A GNU long name (``L``) or long link target (``K``) of the next member."""
    body = text + b"\0"
    return header(b"././@LongLink", kind, size=len(body), magic=GNU) + padded(body)


def _long(text: bytes, kind: bytes = b"L") -> bytes:
    """What stands in front of a header whose field is too short for the text."""
    return long_name(text, kind) if len(text) > 100 else b""
