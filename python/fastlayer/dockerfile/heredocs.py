"""Here-documents: the openers on an instruction's line, and the bodies that follow it.

An opener is a word ``<<NAME``, ``<<-NAME`` or ``3<<NAME``. A quoted name means that variables in
the body are left alone; ``-`` takes leading tabs away. ``<<<`` is none, nor is ``<<`` in quotes.
"""

from __future__ import annotations

import re

from fastlayer.dockerfile.value import Value

_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


class Heredoc(Value, kw_only=False):
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
