"""Text between double quotes, as Go's ``%q`` prints it: the form of dumps, messages and history."""

from __future__ import annotations

from collections.abc import Iterable

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quote(text: str) -> str:
    """``text`` in double quotes, on one line, unprintable characters escaped.

    A surrogate that stands for a byte which is not UTF-8 becomes ``\\xNN``.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_escaped(character) for character in text) + '"'


def quote_all(words: Iterable[str]) -> str:
    """The words, each quoted, between brackets with one blank between them."""
    return "[" + " ".join(quote(word) for word in words) + "]"


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    if known is not None:
        return known
    code = ord(character)
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
