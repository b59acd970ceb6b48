"""What a tar means: docs/formats/tar.md.

Covers what is understood; of what is refused only enough to notice it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.conformance.formats.reader.refusal import RefusedError, check

BLOCK = 512
Records = list[tuple[bytes, bytes]]

_XATTR = b"SCHILY.xattr."
_KINDS = b"\x000123456S7D"
"""Flags of members that create something."""
_FILES = b"\x0007S"
_TIME = re.compile(rb"(-?)(\d*)(?:\.(\d*))?")


@dataclass(slots=True)
class Member:
    """A member and where its bytes are: headers from ``start``, ``stored`` bytes at ``content``.

    ``kind`` is the flag with ``0`` for every regular file and ``5`` for every directory.
    ``pieces`` are the offsets and lengths of a sparse file's stored bytes, else nothing.
    """

    start: int
    content: int
    stored: int
    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    seconds: int
    nanoseconds: int
    size: int
    link: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[tuple[int, int]] | None = None


@dataclass(slots=True)
class _Before:
    """What stands in front of a header and applies to it."""

    records: Records = field(default_factory=list)
    name: bytes = b""
    link: bytes = b""


def members(data: bytes) -> Iterator[Member]:
    """The members of a plain tar, in order."""
    at = start = 0
    before = _Before()
    while at < len(data):
        header = data[at : at + BLOCK]
        if not any(header):
            check(not any(data[at + BLOCK : at + 2 * BLOCK]), "a lone block of zeros")
            break
        check(len(header) == BLOCK, "a header is cut short")
        _check_sum(header)
        flag = header[156:157]
        at += BLOCK
        if flag in b"xgLKVA" and flag != b"":
            size = number(header[124:136])
            body = data[at : at + size]
            check(len(body) == size, "an extended header is cut short")
            at += size + -size % BLOCK
            before = _extended(flag, body, before)
            continue
        member = _member(data, header, start, at, before)
        yield member
        at = member.content + member.stored
        if flag == b"D":
            at += number(header[124:136])
        at += -at % BLOCK
        check(at <= len(data) + BLOCK, "an archive ends in data")
        start, before = at, _Before()
    check(before == _Before(), "an archive ends behind an extended header")


def number(text: bytes) -> int:
    """A numeric field: octal, or base 256 where the first bit is set."""
    if text[0] & 0x80:
        value = int.from_bytes(text, "big") & (1 << (8 * len(text) - 1)) - 1
        return value - (1 << (8 * len(text) - 1)) if text[0] & 0x40 else value
    digits = text.strip(b" \0").split(b"\0")[0]
    check(re.fullmatch(rb"[0-7]*", digits) is not None, "a malformed number")
    return int(digits or b"0", 8)


def real_content(data: bytes, member: Member) -> bytes:
    """The whole content of a regular file, its holes filled."""
    stored = data[member.content : member.content + member.stored]
    if member.pieces is None:
        return stored
    content = bytearray(member.size)
    for offset, length in member.pieces:
        content[offset : offset + length] = stored[:length]
        stored = stored[length:]
    check(not stored, "a stored byte that the map has not")
    return bytes(content)


def _check_sum(header: bytes) -> None:
    said = number(header[148:156])
    blank = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)
    check(said in (sum(blank), signed), "a header with a wrong checksum")


def _extended(flag: bytes, body: bytes, before: _Before) -> _Before:
    """What is known of the next member after one more header in front of it."""
    text = body.split(b"\0")[0]
    if flag == b"x":
        return _Before(_records(body), before.name, before.link)
    if flag == b"L":
        return _Before(before.records, text, before.link)
    if flag == b"K":
        return _Before(before.records, before.name, text)
    if flag == b"g":
        _records(body)
    return _Before()


def _records(body: bytes) -> Records:
    found = []
    while body:
        length, blank, _ = body.partition(b" ")
        check(bool(blank) and length.isdigit(), "a record without a length")
        record, body = body[: int(length)], body[int(length) :]
        check(len(record) == int(length) and record.endswith(b"\n"), "a record without an end")
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        check(bool(equals) and bool(key), "a record without a key")
        found.append((key, value))
    return found


def _member(data: bytes, header: bytes, start: int, at: int, before: _Before) -> Member:
    flag = header[156:157]
    check(flag in _KINDS, f"a member with flag {flag!r}")
    records = {key: value for key, value in before.records if value}
    magic, version = header[257:263], header[263:265]
    name, link = _text(header[:100]), _text(header[157:257])
    prefix = _prefix(header)
    if prefix:
        name = prefix + b"/" + name
    name = before.name or records.get(b"path") or name
    if flag == b"\0" and name.endswith(b"/"):
        flag = b"5"
    seconds, nanoseconds = number(header[136:148]), 0
    if text := records.get(b"mtime"):
        seconds, nanoseconds = _time(text)
    size = int(records.get(b"size") or number(header[124:136]))
    member = Member(
        start,
        at,
        stored=size if flag in _FILES else 0,
        name=name,
        kind=_kind(flag),
        mode=number(header[100:108]) & 0o7777,
        uid=int(records.get(b"uid") or number(header[108:116])),
        gid=int(records.get(b"gid") or number(header[116:124])),
        seconds=seconds,
        nanoseconds=nanoseconds,
        size=size if flag in _FILES else 0,
        link=before.link or records.get(b"linkpath") or link,
    )
    if flag in b"34" and (magic, version) != (b"\0" * 6, b"\0\0"):
        member.device = (number(header[329:337]), number(header[337:345]))
    for key, value in before.records:
        if key.startswith(_XATTR):
            member.xattrs[key.removeprefix(_XATTR)] = value
    if flag == b"S":
        _old_sparse(data, header, member)
    elif member.kind == b"0":
        _pax_sparse(data, before, member)
    return member


def _kind(flag: bytes) -> bytes:
    if flag in _FILES:
        return b"0"
    return b"5" if flag == b"D" else flag


def _text(fieldbytes: bytes) -> bytes:
    return fieldbytes.split(b"\0")[0]


def _prefix(header: bytes) -> bytes:
    if header[257:263] == b"ustar\0":
        star = header[508:512] == b"tar\0"
        return _text(header[345:476] if star else header[345:500])
    if header[257:265] != b"ustar  \0":
        return b""
    try:
        for text in (header[345:357], header[357:369]):
            if text[0]:
                number(text)
    except RefusedError:
        prefix = _text(header[345:500])
        return prefix if prefix.isascii() else b""
    return b""


def _time(text: bytes) -> tuple[int, int]:
    found = _TIME.fullmatch(text)
    if found is None or not found[2]:
        raise RefusedError("a time that is no number")
    total = int(found[2]) * 10**9 + int((found[3] or b"").ljust(9, b"0")[:9])
    return divmod(-total if found[1] else total, 10**9)


def _old_sparse(data: bytes, header: bytes, member: Member) -> None:
    """The map of flag ``S``: four pieces in the header, 21 in each block that follows."""
    member.size = number(header[483:495])
    pieces = _pieces(header[386:482])
    more = header[482]
    while more:
        block = data[member.content : member.content + BLOCK]
        check(len(block) == BLOCK, "a map is cut short")
        member.content += BLOCK
        pieces += _pieces(block[:504])
        more = block[504]
    member.pieces = pieces


def _pieces(text: bytes) -> list[tuple[int, int]]:
    found = []
    for at in range(0, len(text), 24):
        if text[at] == 0:
            break
        found.append((number(text[at : at + 12]), number(text[at + 12 : at + 24])))
    return found


def _pax_sparse(data: bytes, before: _Before, member: Member) -> None:
    """The maps of PAX 0.0, 0.1 (in records) and 1.0 (in front of the stored bytes)."""
    records = dict(before.records)
    version = (records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor"))
    prefix = b"GNU.sparse."
    if version == (b"1", b"0"):
        numbers, end = _map_in_content(data[member.content : member.content + member.stored])
        member.content += end
        member.stored -= end
    elif version not in ((None, None), (b"0", b"0"), (b"0", b"1")):
        return
    elif text := records.get(b"GNU.sparse.map"):
        numbers = [int(word) for word in text.split(b",")]
    else:
        wanted = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers = [int(value) for key, value in before.records if key in wanted]
        if not numbers:
            return
    member.pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
    member.name = records.get(prefix + b"name") or member.name
    size = records.get(prefix + b"realsize") or records.get(prefix + b"size")
    member.size = int(size or member.size)


def _map_in_content(stored: bytes) -> tuple[list[int], int]:
    lines = stored.split(b"\n")
    count = int(lines[0])
    used = lines[: 2 * count + 1]
    end = sum(len(line) + 1 for line in used)
    return [int(line) for line in used[1:]], end + -end % BLOCK
