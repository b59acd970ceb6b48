"""``IMAGE:/PATH`` on the command line, and the image's chain behind it."""

from __future__ import annotations

from fastlayer.errors import UsageError


def split_tree_path(text: str) -> tuple[str, bytes | None]:
    """The image's name, and the path without slashes around it; None where there is no path.

    The border is the first ``:/``, for a tag cannot begin with a slash.
    """
    text = text.removeprefix("image:")
    name, colon, path = text.partition(":/")
    if not name:
        raise UsageError(f"{text!r} names no image", hint="write IMAGE:/PATH")
    return name, path.strip("/").encode(errors="surrogateescape") if colon else None
