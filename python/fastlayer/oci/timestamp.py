"""Times in documents: RFC 3339 in UTC, as Go writes them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from fastlayer.errors import UsageError

_SECOND = 1_000_000_000


def format_timestamp(nanoseconds: int) -> str:
    """A time since the epoch in nanoseconds as text; the fraction without zeros at its end."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f".{fraction:09}".rstrip("0") if fraction else ""
    return f"{text}{digits}Z"


def creation_time(environment: Mapping[str, str] | None = None) -> str:
    """Now, or what ``SOURCE_DATE_EPOCH`` says in the environment (the process's own by default).

    Raises
    ------
    UsageError
        The variable holds no whole number of seconds.
    """
    source = (os.environ if environment is None else environment).get("SOURCE_DATE_EPOCH", "")
    if not source:
        return format_timestamp(time.time_ns())
    if not source.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH={source} is not a number of seconds")
    return format_timestamp(int(source) * _SECOND)
