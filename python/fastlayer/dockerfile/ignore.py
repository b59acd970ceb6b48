"""Ignore files (``.dockerignore``): from bytes to the list of patterns, in order.

What the patterns match is not known here; :class:`fastlayer.store.Context` knows.
"""

from __future__ import annotations

from fastlayer.dockerfile.source import BLANKS, fail, valid


def parse_ignore(data: bytes, *, file: str = ".dockerignore") -> tuple[str, ...]:
    """The patterns of an ignore file: trimmed, cleaned, relative; ``!`` is kept in front.

    A ``#`` in the first column makes a comment. A lone ``!`` stays one, and is for the matcher to
    refuse.

    Parameters
    ----------
    data:
        The file's bytes.
    file:
        Its name, for messages.

    Raises
    ------
    DockerfileError
        A pattern is not UTF-8.
    """
    patterns: list[str] = []
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip(BLANKS)
        if not pattern:
            continue
        if valid(pattern) != pattern:
            shown = valid(pattern)
            fail("the pattern is not UTF-8", file=file, line=number, column=1, source=shown)
        inverted = pattern.startswith("!")
        if inverted:
            pattern = pattern[1:].strip(BLANKS)
        if pattern:
            pattern = clean_path(pattern)
            if len(pattern) > 1:
                pattern = pattern.removeprefix("/")
        patterns.append(f"!{pattern}" if inverted else pattern)
    return tuple(patterns)


def clean_path(path: str) -> str:
    """The shortest path that is lexically the same, as Go's ``path.Clean`` gives it."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not rooted:
            kept.append(part)
    return ("/" if rooted else "") + "/".join(kept) or "."
