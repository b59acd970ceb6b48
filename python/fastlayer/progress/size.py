"""Sizes and times as texts, in the forms that docker prints."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(count: int) -> str:
    """A number of bytes with at most four significant digits, as ``1.27GB``."""
    value = float(count)
    unit = _UNITS[0]
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    if unit == "B":
        return f"{count}B"
    return f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"
