"""Bytes of long work, told of as a step's status: seldom, and only where the work is long.

What moves the bytes calls with how far it is, as often as it likes and on one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

FIRST_SECONDS = 0.25
"""How long work takes before its bytes are worth a word."""

SECONDS = 0.15
"""Between two events about the same work."""

Begin = Callable[[str], "Transfer"]
"""Begins to count the bytes of the work that the text names."""

Tell = Callable[[str, int, int, float, bool], None]
"""Shows a status: its text, bytes done, bytes in all (0: not known), when the work began in seconds
since the epoch, and whether it is done."""


class Transfer:
    """Work whose bytes are counted; several pieces of it, one after the other, have a text each.

    A context manager: what was told of is told to be done where it is left without an error.

    Parameters
    ----------
    tell:
        Who shows it.
    text:
        What moves, where nothing else is said.
    """

    def __init__(self, tell: Tell, text: str = "") -> None:
        self._tell = tell
        self._next = 0.0
        self._start(text)

    def __enter__(self) -> Transfer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()

    def __call__(self, done: int, total: int) -> None:
        """So many bytes are done, of so many; 0 where that is not known."""
        # What is foreseen may be a little less than what it comes to.
        self._done, self._total = done, max(done, total) if total else 0
        now = time.monotonic()
        if done and now >= self._next:
            self._told = True
            self._next = now + SECONDS
            self._tell(self._text, self._done, self._total, self._began, False)

    def part(self, text: str, done: int, total: int) -> None:
        """The same, of the piece of the work that the text names."""
        if text != self._text:
            self._finish()
            self._start(text)
        self(done, total)

    def _start(self, text: str) -> None:
        self._text = text
        self._began = time.time()
        self._next = time.monotonic() + FIRST_SECONDS
        self._done = self._total = 0
        self._told = False

    def _finish(self) -> None:
        if self._told:
            done = self._total or self._done
            self._tell(self._text, done, self._total, self._began, True)
            self._told = False
