"""What happens in a build, as frozen values.

A step is known by its number, given when it first shows; names and texts are ready to be shown.
Times are seconds since the epoch. Whoever sends events sends them one at a time. Everybody
may import this module.
"""

from __future__ import annotations

from typing import Protocol

from fastlayer.value import Value


class StepStarted(Value, kw_only=False):
    """A step begins, or is about to be found in the cache."""

    step: int
    """Its number, from 1."""
    name: str
    """Such as ``[build 2/3] RUN make``."""
    time: float
    inputs: tuple[int, ...] = ()
    """The steps whose results it takes."""


class StepOutput(Value, kw_only=False):
    """A piece of what a step's process wrote; it may end in the middle of a line."""

    step: int
    stream: int
    """1 for standard output, 2 for standard error."""
    data: bytes
    time: float


class StepStatus(Value, kw_only=False):
    """A line about the work of a step: what is moved, or why it was not in the cache."""

    step: int
    text: str
    time: float
    current: int = 0
    """Bytes done so far, 0 where that is not counted."""
    total: int = 0
    """Bytes in all, 0 where that is not known."""
    began: float | None = None
    """When the work that the text names began, where its bytes are counted."""
    done: bool = False
    """Whether that work is done."""


class StepFinished(Value, kw_only=False):
    """A step is done."""

    step: int
    time: float
    seconds: float
    cached: bool = False
    error: str | None = None
    """Why it failed, ``None`` where it did not."""
    canceled: bool = False
    """Whether it was given up because the build stopped; ``error`` is set then too."""
    added_bytes: int = 0
    """What it added to the store."""


class BuildWarning(Value, kw_only=False):
    """Something in the Dockerfile that is allowed but probably not meant."""

    text: str
    file: str
    line: int
    """0 where it belongs to no line."""


class BuildFinished(Value, kw_only=False):
    """The build is done, well."""

    image_id: str | None
    """``None`` where no image was kept (``-o`` of another form)."""
    cached: int
    """Steps found in the cache."""
    ran: int
    """Steps that ran."""
    seconds: float
    added_bytes: int
    """What the build added to the store."""
    shared_bytes: int
    """What the result has in common with what was in the store before: the rest of its content."""


Event = StepStarted | StepOutput | StepStatus | StepFinished | BuildWarning | BuildFinished


class Renderer(Protocol):
    """Shows events. Not thread-safe: the sender serialises."""

    def event(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Show what is held back, and leave the stream as it was found."""


class QuietRenderer:
    """Shows nothing: for ``--progress=quiet``, and for callers who want no progress."""

    def event(self, event: Event) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""
