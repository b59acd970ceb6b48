"""Here-documents: the openers on an instruction's line, and the bodies that follow it.

An opener is a word ``<<NAME``, ``<<-NAME`` or ``3<<NAME``. A quoted name means that variables in
the body are left alone; ``-`` takes leading tabs away. ``<<<`` is none, nor is ``<<`` in quotes.
"""

from __future__ import annotations

import re

from fastlayer.dockerfile.expansion import WordReader
from fastlayer.value import Value

_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_OPENER = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z")

#: More digits than any descriptor has: such a number is kept as the largest.
_DESCRIPTOR_DIGITS = 9


class Heredoc(Value):
    """A here-document: ``content`` is the raw body, every line end kept.

    ``descriptor`` is the number before ``<<``, 0 where there is none.
    """

    name: str
    content: str = ""
    expand: bool = True
    chomp: bool = False
    descriptor: int = 0

    @property
    def text(self) -> str:
        """The body as it counts: without leading tabs where it was opened by ``<<-``."""
        return _LEADING_TABS.sub("", self.content) if self.chomp else self.content


def parse_opener(word: str) -> Heredoc | None:
    """The here-document, still without content, that a word opens; ``None`` where it opens none.

    Raises
    ------
    ValueError
        The name has a quote without an end.
    """
    match = _OPENER.match(word)
    if match is None or not match[3]:
        return None
    plain = WordReader(match[3], {}, keep_unset=True).read().words
    if len(plain) != 1:
        return None
    raw = WordReader(match[3], {}, keep_unset=True, raw_quotes=True).read().words
    digits = match[1][:_DESCRIPTOR_DIGITS]
    return Heredoc(
        name=plain[0],
        # A quote that is there raw and gone otherwise did quote something.
        expand=_quotes(plain[0]) == _quotes("".join(raw)),
        chomp=match[2] == "-",
        descriptor=int(digits) if digits else 0,
    )


def openers(line: str) -> tuple[Heredoc, ...]:
    """The here-documents that an instruction's line opens, in order.

    A line with an unbalanced quote opens none.

    Raises
    ------
    ValueError
        As :func:`parse_opener`.
    """
    try:
        words = (
            WordReader(line, {}, raw_quotes=True, raw_escapes=True, keep_unset=True).read().words
        )
    except ValueError:
        return ()
    return tuple(found for word in words if (found := parse_opener(word)) is not None)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
