"""The patterns of ``${name#pattern}`` and its like: ``*``, ``?``, and ``\\`` for a literal.

There are no brackets. ``*`` and ``?`` do not match a line end. Matching takes time proportional to
pattern times text at worst, so that no pattern can stall a build.
"""

from __future__ import annotations

import sys
from enum import Enum


class Wildcard(Enum):
    """The two tokens that are no literal character."""

    ANY = "?"
    MANY = "*"


Token = str | Wildcard
Tokens = tuple[Token, ...]


def parse_glob(pattern: str) -> Tokens:
    """The tokens of a pattern.

    Raises
    ------
    ValueError
        A backslash stands before something else than ``* ? \\ / }``, or at the end.
    """
    tokens: list[Token] = []
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            tokens.append(Wildcard.MANY)
        elif character == "?":
            tokens.append(Wildcard.ANY)
        elif character == "\\":
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\/}":
                raise ValueError(f"invalid escape '\\{escaped}'")
            tokens.append(escaped)
        else:
            tokens.append(character)
    return tuple(tokens)


def match_at(tokens: Tokens, text: str, start: int, *, longest: bool) -> int | None:
    """Where a match that starts at ``start`` ends, or ``None`` where there is no match."""
    return _scan(tokens, text, start, longest=longest)[0]


def _scan(tokens: Tokens, text: str, start: int, *, longest: bool) -> tuple[int | None, int]:
    """As :func:`match_at`, and how far the text had to be read."""
    final = len(tokens)
    states = _closure({0}, tokens)
    best = None
    position = start
    while True:
        if final in states:
            best = position
            if not longest:
                return best, position
        if not states or position == len(text):
            return best, position
        states = _closure(_step(states, tokens, text[position]), tokens)
        position += 1


def _step(states: set[int], tokens: Tokens, character: str) -> set[int]:
    after: set[int] = set()
    for state in states:
        if state == len(tokens):
            continue
        token = tokens[state]
        if token is Wildcard.MANY:
            if character != "\n":
                after.add(state)
        elif token is Wildcard.ANY:
            if character != "\n":
                after.add(state + 1)
        elif token == character:
            after.add(state + 1)
    return after


def _closure(states: set[int], tokens: Tokens) -> set[int]:
    """The states, and those that are reached by letting ``*`` match nothing."""
    for state in tuple(states):
        skipped = state
        while skipped < len(tokens) and tokens[skipped] is Wildcard.MANY:
            skipped += 1
            states.add(skipped)
    return states


def trim_prefix(pattern: str, text: str, *, longest: bool) -> str:
    """``text`` without the shortest or longest head that the pattern matches."""
    end = match_at(parse_glob(pattern), text, 0, longest=longest)
    return text if end is None else text[end:]


def trim_suffix(pattern: str, text: str, *, longest: bool) -> str:
    """``text`` without the shortest or longest tail that the pattern matches."""
    end = match_at(parse_glob(pattern)[::-1], text[::-1], 0, longest=longest)
    return text if end is None else text[: len(text) - end]


def replace(
    pattern: str, replacement: str, text: str, *, every: bool, limit: int = sys.maxsize
) -> str:
    """``text`` with the first or every match replaced, each as long as it can be.

    An empty match right after another match does not count, as in Go.

    Raises
    ------
    OverflowError
        The replacements have more than ``limit`` characters together.
    """
    tokens = parse_glob(pattern)
    done: list[str] = []
    room = limit
    position = 0
    last_end = -1
    while position <= len(text):
        end, read = _scan(tokens, text, position, longest=True)
        if end is None:
            following = position + 1
            if read - position > len(tokens) and "\n" not in tokens:
                # Some ``*`` was reached and what follows it is nowhere on this line, so starting
                # later on the line cannot help: without this the search would be quadratic.
                line_end = text.find("\n", position)
                following = max(following, len(text) if line_end < 0 else line_end)
            done.append(text[position:following])
            position = following
            continue
        if end > position or position != last_end:
            room -= len(replacement)
            if room < 0:
                raise OverflowError
            done.append(replacement)
            last_end = end
            if not every:
                return "".join(done) + text[end:]
        if end > position:
            position = end
        else:
            done.append(text[position : position + 1])
            position += 1
    return "".join(done)
