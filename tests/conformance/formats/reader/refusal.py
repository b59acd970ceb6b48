"""What the reader says of files that it does not take."""

from __future__ import annotations


class RefusedError(Exception):
    """A file is not what its format says."""


class OtherVersionError(RefusedError):
    """A file has a version that the text does not describe."""


def check(holds: bool, what: str) -> None:
    """Refuse unless something holds; ``what`` says what is wrong."""
    if not holds:
        raise RefusedError(what)
