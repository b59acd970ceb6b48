"""Durations, sizes, truth values and numbers in the notations that flags use (those of Go)."""

from __future__ import annotations

import re

from fastlayer.dockerfile.quoting import quote

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LARGEST = 2**63 - 1
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def parse_duration(text: str) -> int:
    """A duration such as ``1m30s`` or ``1.5h`` in nanoseconds.

    Raises
    ------
    ValueError
        It is none; the message says why.
    """
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return 0
    total = 0
    position = 0
    while position < len(body):
        match = re.compile(r"([0-9]*)(?:\.([0-9]*))?").match(body, position)
        if match is None or not (match[1] or match[2]):
            raise ValueError(f"time: invalid duration {quote(text)}")
        unit = re.compile(r"[^0-9.]*").match(body, match.end())
        name = unit[0] if unit else ""
        if not name:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if name not in _NANOSECONDS:
            raise ValueError(f"time: unknown unit {quote(name)} in duration {quote(text)}")
        whole, fraction = match[1] or "0", match[2] or ""
        if len(whole) > 19:
            raise ValueError(f"time: invalid duration {quote(text)}")
        fraction = fraction[:18]
        total += int(whole) * _NANOSECONDS[name]
        total += int(fraction or "0") * _NANOSECONDS[name] // 10 ** len(fraction)
        position = match.end() + len(name)
    if not position or total > _LARGEST:
        raise ValueError(f"time: invalid duration {quote(text)}")
    return sign * total


def parse_size(text: str) -> int:
    """A size such as ``64m`` or ``1.5GiB`` in bytes; units are powers of 1024.

    Raises
    ------
    ValueError
        It is none.
    """
    match = re.match(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?\Z", text, re.IGNORECASE)
    if match is None or len(match[1]) > 30:
        raise ValueError(f"invalid size: {quote(text)}")
    power = "kmgtp".find(match[2].lower()) + 1 if match[2] else 0
    size = int(float(match[1]) * 1024**power) if "." in match[1] else int(match[1]) * 1024**power
    if size > _LARGEST:
        raise ValueError(f"invalid size: {quote(text)}")
    return size


def parse_truth(text: str) -> bool:
    """A truth value: ``1 t true 0 f false`` in the cases Go takes.

    Raises
    ------
    ValueError
        It is none.
    """
    if text not in _TRUTHS:
        raise ValueError(f"invalid truth value: {quote(text)}")
    return _TRUTHS[text]


def parse_unsigned(text: str, base: int) -> int:
    """An unsigned 32-bit number in base 8 or 10.

    Raises
    ------
    ValueError
        It is none, or too large.
    """
    digits = "01234567" if base == 8 else "0123456789"
    if not text or len(text) > 40 or text.strip(digits):
        raise ValueError(f"invalid number: {quote(text)}")
    number = int(text, base)
    if number >= 2**32:
        raise ValueError(f"number out of range: {quote(text)}")
    return number
