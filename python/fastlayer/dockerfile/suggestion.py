"""The word that somebody probably meant: the nearest of the known ones, when it is near."""

from __future__ import annotations

from collections.abc import Iterable

#: The distance at which a word is too far off to be suggested; for short words, their length.
_TOO_FAR = 3


def suggest(word: str, options: Iterable[str], *, case_sensitive: bool = True) -> str | None:
    """The option nearest to ``word``, or ``None`` where none is near or one is equal.

    Parameters
    ----------
    word:
        What was written.
    options:
        What could have been written.
    case_sensitive:
        If not set, case is ignored, and the suggestion has the case of ``word``.
    """
    written = word if case_sensitive else word.lower()
    best = None
    least = min(_TOO_FAR, len(word))
    for option in sorted(options):
        candidate = option if case_sensitive else option.lower()
        if candidate == written:
            return None
        if abs(len(candidate) - len(written)) >= least:
            continue
        distance = _distance(written, candidate)
        if distance < least:
            best, least = candidate, distance
    if best is None or case_sensitive:
        return best
    if word == word.lower():
        return best
    return best.upper() if word == word.upper() else best


def did_you_mean(word: str, options: Iterable[str], *, prefix: str = "") -> str | None:
    """A hint for an error, or ``None``; ``prefix`` stands before the suggestion."""
    found = suggest(word, options)
    return f"did you mean {prefix}{found}?" if found else None


def _distance(left: str, right: str) -> int:
    """How many characters must be put in, taken out, changed or swapped with the next one."""
    earlier: list[int] = []
    before = list(range(len(right) + 1))
    for row, character in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            steps = min(
                before[column] + 1,
                current[column - 1] + 1,
                before[column - 1] + (character != other),
            )
            swapped = row > 1 and column > 1 and left[row - 2 : row] == other + right[column - 2]
            current.append(min(steps, earlier[column - 2] + 1) if swapped else steps)
        earlier, before = before, current
    return before[-1]
