"""Points in time as docker prints them; they come as RFC 3339 texts."""

from __future__ import annotations

import datetime
import re
import time

from fastlayer.cli.human import human_age

_LONG_AGO = 946_684_800
"""2000-01-01: a time up to then is a placeholder, not a date."""
_FRACTION = re.compile(r"\.(\d+)")


def seconds_of(timestamp: str) -> float:
    """Seconds since the epoch; minus infinity where the text is empty."""
    if not timestamp:
        return -float("inf")
    # datetime reads microseconds at most.
    text = _FRACTION.sub(lambda match: "." + match[1][:6].ljust(6, "0"), timestamp)
    try:
        return datetime.datetime.fromisoformat(text.upper().replace("Z", "+00:00")).timestamp()
    except ValueError:  # a leap second
        return -float("inf")


def since_text(timestamp: str, *, now: float | None = None) -> str:
    """How long ago: ``2 hours ago``; ``N/A`` where the time is a placeholder."""
    seconds = seconds_of(timestamp)
    if seconds <= _LONG_AGO:
        return "N/A"
    return human_age((time.time() if now is None else now) - seconds)


def clock_text(timestamp: str) -> str:
    """The time in this machine's zone, as Go prints one: ``2026-11-25 02:21:45 +0000 UTC``."""
    return _local(timestamp).strftime("%Y-%m-%d %H:%M:%S %z %Z") if timestamp else "N/A"


def zone_time_text(timestamp: str) -> str:
    """The time in this machine's zone, RFC 3339 in whole seconds; ``N/A`` for a placeholder."""
    if seconds_of(timestamp) <= _LONG_AGO:
        return "N/A"
    return _local(timestamp).isoformat(timespec="seconds").replace("+00:00", "Z")


def _local(timestamp: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds_of(timestamp))).astimezone()
