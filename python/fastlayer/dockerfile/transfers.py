"""What COPY and ADD take for modes and for remote sources."""

from __future__ import annotations

import re

from fastlayer.dockerfile.source import InstructionError

_LARGEST_MODE = 0o7777
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+\Z")
_OCTAL = re.compile(r"[0-7]{1,11}\Z")
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[\w.-]+@[\w.-]+:", re.ASCII)


def check_mode(text: str) -> None:
    """Refuse what is neither an octal mode up to 07777 nor a symbolic one (``u=rwX,go=rX``).

    Raises
    ------
    InstructionError
        The text is no mode; empty is none given, and fine.
    """
    if not text:
        return
    if _OCTAL.match(text):
        fits = int(text, 8) <= _LARGEST_MODE
    else:
        fits = all(_SYMBOLIC.match(clause) for clause in text.split(","))
    if not fits:
        raise InstructionError(
            f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777",
            hint="or symbolic, as u=rwX,go=rX",
            token=text,
        )


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a git repository rather than a path of the context."""
    return bool(_REMOTE.match(source))
