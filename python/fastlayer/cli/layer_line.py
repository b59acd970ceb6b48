"""A line on the terminal about the layer that is being read or written, drawn anew as it grows.

Nothing is shown where standard error is no terminal, nor for what does not take long.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType

import click

from fastlayer.progress.size import human_size

FIRST_SECONDS = 0.25
SECONDS = 0.1

_CLEAR = "\r\x1b[K"


class LayerLine:
    """See the module; a context manager, which takes the line away.

    Parameters
    ----------
    verb:
        What happens to the layer, such as ``loading``.
    quiet:
        Whether nothing is shown at all.
    """

    def __init__(self, verb: str, *, quiet: bool = False) -> None:
        self._verb = verb
        self._shows = sys.stderr.isatty() and not quiet
        self._next = time.monotonic() + FIRST_SECONDS
        self._drawn = False

    def __enter__(self) -> LayerLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            click.echo(_CLEAR, nl=False, err=True)

    def __call__(self, name: str, done: int, total: int) -> None:
        """So many bytes of that layer are done, of so many (0: not known)."""
        now = time.monotonic()
        if not self._shows or now < self._next:
            return
        self._next = now + SECONDS
        self._drawn = True
        whole = f" / {human_size(total)}" if total else ""
        click.echo(f"{_CLEAR}{self._verb} {name} {human_size(done)}{whole}", nl=False, err=True)
