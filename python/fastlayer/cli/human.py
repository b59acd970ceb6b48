"""Numbers as docker prints them for people: sizes in powers of ten, ages in words. Pure."""

from __future__ import annotations

from fastlayer.progress.size import human_size

__all__ = ["human_age", "human_duration", "human_size"]


def human_duration(seconds: float) -> str:
    """A length of time in words: ``About a minute``, ``3 hours``, ``2 weeks``."""
    whole = int(seconds)
    minutes = int(seconds / 60)
    hours = int(seconds / 3600 + 0.5)
    if whole < 60:
        return {0: "Less than a second", 1: "1 second"}.get(max(whole, 0), f"{whole} seconds")
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, length, unit in (
        (24 * 7 * 2, 24, "days"),
        (24 * 30 * 2, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < limit:
            return f"{hours // length} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def human_age(seconds: float) -> str:
    """How long ago something was: ``3 hours ago``."""
    return f"{human_duration(seconds)} ago"
