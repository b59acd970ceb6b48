"""Where a piece of a Dockerfile stands, and how to point at it.

A :class:`Span` is a range of lines. :func:`fail` is the one place where the parser's errors are
made, so that each names file and line and carries the text of the line. Nothing here knows the
grammar.
"""

from __future__ import annotations

import re
from typing import NoReturn

from fastlayer.errors import DockerfileError
from fastlayer.value import Value

#: What Go's ``unicode.IsSpace`` accepts; Python's ``str.isspace`` also takes U+001C to U+001F.
BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


_SURROGATE = re.compile("[\ud800-\udfff]")


def valid(text: str) -> str:
    """The text with U+FFFD in place of what was not UTF-8."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


class InstructionError(Exception):
    """What is wrong with an instruction, its place not yet known.

    ``token`` is the word that is wrong, to be underlined; it may be empty.
    """

    def __init__(self, message: str, *, hint: str | None = None, token: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.token = token


class Span(Value, kw_only=False):
    """The lines of an instruction, 1-based and inclusive, heredoc bodies included."""

    first: int
    last: int


def fail(
    message: str,
    *,
    file: str | None = None,
    line: int | None = None,
    column: int | None = None,
    source: str | None = None,
    length: int | None = None,
    hint: str | None = None,
) -> NoReturn:
    """Raise the error for a place in a Dockerfile.

    Parameters
    ----------
    message, hint:
        As for :class:`fastlayer.errors.FastlayerError`.
    file, line, column:
        The place; line and column are 1-based.
    source:
        The text of the line, without its end.
    length:
        How many characters of it are meant; all of the rest where it is ``None``.

    Raises
    ------
    DockerfileError
        Always.
    """
    raise DockerfileError(
        printable(message),
        hint=None if hint is None else printable(hint),
        file=file,
        line=line,
        column=column,
        source=None if source is None else printable(source),
        length=length,
    )


def printable(text: str) -> str:
    """The text with U+FFFD for control characters: a file must not steer the terminal.

    Each stays one character, so that columns stay true.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\t\xa0\u3000" else "\ufffd"
        for character in text
    )
