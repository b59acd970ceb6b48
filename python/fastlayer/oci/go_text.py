"""How Go prints strings (``%q``) and durations, which docker's texts show."""

from __future__ import annotations

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_NANOSECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_MINUTE = 60 * _NANOSECONDS["s"]
_HOUR = 60 * _MINUTE


def quote(text: str) -> str:
    """The text in double quotes with Go's escapes; printable characters stay as they are."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def format_duration(nanoseconds: int) -> str:
    """A time span as Go's ``Duration.String``: ``5m0s``, ``1.5s``, ``300ms``, ``0s``."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < _NANOSECONDS["s"]:
        for unit, sign in (("ms", "ms"), ("us", "µs"), ("ns", "ns")):
            if nanoseconds >= _NANOSECONDS[unit]:
                return _decimal(nanoseconds, _NANOSECONDS[unit]) + sign
    hours, rest = divmod(nanoseconds, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    text = _decimal(rest, _NANOSECONDS["s"]) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0") if fraction else ""
    return f"{whole}.{digits}" if digits else str(whole)
