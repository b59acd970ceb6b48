"""One line an event, as BuildKit's ``--progress=plain``.

``#5 [2/3] RUN make``, ``#5 0.123 output``, ``#5 DONE 0.3s``, ``#5 CACHED``; a blank line between
steps. Steps run side by side, but one is shown at a time: the others' lines wait until it is done
or has been silent for a while, so that a reader is not torn to and fro. A timer ends the wait where
no event does: a step that said one thing and then works in silence is seen all the same.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TextIO

from fastlayer.progress.events import (
    BuildFinished,
    BuildWarning,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)
from fastlayer.progress.size import human_size

PATIENCE = 1.0
"""Seconds that the shown step may be silent before another one's lines are shown."""

LONGEST_TURN = 5.0
"""Seconds after which another step is shown even if the present one still speaks."""

SPARSE_SECONDS = 5.0
"""Seconds between two lines about the same bytes being moved,"""

SPARSE_SHARE = 0.05
"""and how much of them must have been moved in between."""


@dataclass(slots=True)
class _Shown:
    """What is known of one step."""

    number: int
    name: str
    started: float
    waiting: list[str] = field(default_factory=list)
    partial: dict[int, bytes] = field(default_factory=dict)
    moved: dict[str, StepStatus] = field(default_factory=dict)
    """The last line about bytes being moved, by its text."""
    finished: bool = False


class PlainRenderer:
    """Writes plain lines to a text stream, flushed at each event that shows something."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps: dict[int, _Shown] = {}
        self._current: _Shown | None = None
        self._last_seen = 0.0
        self._turn_began = 0.0
        self._blank = False
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def event(self, event: Event) -> None:
        """Show one event."""
        with self._lock:
            self._show(event)
            self._stream.flush()

    def close(self) -> None:
        """Show what is held back."""
        with self._lock:
            self._drain()
            self._stream.flush()
            if self._timer is not None:
                self._timer.cancel()

    def _show(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._steps[event.step] = _Shown(event.step, event.name, event.time)
                self._say(self._steps[event.step], [], event.time)
            case StepOutput():
                self._output(event)
            case StepStatus():
                shown = self._steps[event.step]
                if _is_news(event, shown.moved):
                    self._say(shown, [f"#{event.step} {_status_text(event)}"], event.time)
            case StepFinished():
                self._finish(event)
            case BuildWarning():
                place = f"{event.file}:{event.line}" if event.line else event.file
                self._leave()
                self._line(f"warning: {place}: {event.text}")
                self._blank = True
            case BuildFinished():
                self._drain()
                self._leave()
                self._line(_summary(event))

    def _output(self, event: StepOutput) -> None:
        shown = self._steps[event.step]
        data = shown.partial.pop(event.stream, b"") + event.data
        *whole, rest = data.split(b"\n")
        if rest:
            shown.partial[event.stream] = rest
        lines = [self._output_line(shown, line, event.time) for line in whole]
        if lines:
            self._say(shown, lines, event.time)

    @staticmethod
    def _output_line(shown: _Shown, line: bytes, time: float) -> str:
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        return f"#{shown.number} {max(0.0, time - shown.started):.3f} {text}"

    def _finish(self, event: StepFinished) -> None:
        shown = self._steps[event.step]
        lines = [self._output_line(shown, rest, event.time) for rest in shown.partial.values()]
        shown.partial.clear()
        shown.finished = True
        if event.canceled:
            lines.append(f"#{event.step} CANCELED")
        elif event.error is not None:
            lines.append(f"#{event.step} ERROR: {event.error}")
        elif event.cached:
            lines.append(f"#{event.step} CACHED")
        else:
            lines.append(f"#{event.step} DONE {event.seconds:.1f}s")
        self._say(shown, lines, event.time)

    def _say(self, shown: _Shown, lines: list[str], time: float) -> None:
        """Show lines of a step now if it has the turn, or can take it; else keep them."""
        current = self._current
        if current is not shown and self._is_held(time):
            shown.waiting += lines
            self._look_again()
            return
        self._turn(shown, time)
        for line in shown.waiting + lines:
            self._line(line)
        shown.waiting = []
        self._last_seen = time
        if shown.finished:
            self._drain_finished(time)

    def _is_held(self, time: float) -> bool:
        """Whether the shown step keeps its turn."""
        if self._current is None or self._current.finished:
            return False
        silent = time - self._last_seen >= PATIENCE
        return not silent and time - self._turn_began < LONGEST_TURN

    def _look_again(self) -> None:
        """Have what waits shown in a while, even if nothing happens any more."""
        if self._timer is None and any(shown.waiting for shown in self._steps.values()):
            self._timer = threading.Timer(PATIENCE, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
            now = time.time()
            if not self._is_held(now):
                self._drain_finished(now)
                self._last_seen = now
                self._stream.flush()
            self._look_again()

    def _turn(self, shown: _Shown, time: float) -> None:
        if self._current is shown:
            return
        self._leave()
        self._line(f"#{shown.number} {shown.name}")
        self._current = shown
        self._turn_began = time

    def _leave(self) -> None:
        if self._current is not None:
            if not self._current.finished:
                self._line(f"#{self._current.number} ...")
            self._blank = True
        self._current = None

    def _drain_finished(self, time: float) -> None:
        """After a step is done, show what waits: first the steps that are done as well."""
        for shown in list(self._steps.values()):
            if shown.waiting:
                self._turn(shown, time)
                for line in shown.waiting:
                    self._line(line)
                shown.waiting = []
                if not shown.finished:
                    return

    def _drain(self) -> None:
        for shown in self._steps.values():
            if shown.waiting:
                self._turn(shown, self._last_seen)
                for line in shown.waiting:
                    self._line(line)
                shown.waiting = []

    def _line(self, text: str) -> None:
        if self._blank:
            self._stream.write("\n")
            self._blank = False
        self._stream.write(text + "\n")


def _is_news(event: StepStatus, moved: dict[str, StepStatus]) -> bool:
    """Whether a line is worth it: a log is not to be filled with the growing of a number."""
    if event.began is None:
        return True
    last = moved.get(event.text)
    if last is not None and not event.done:
        share = (event.current - last.current) / event.total if event.total else 1.0
        if event.time - last.time < SPARSE_SECONDS or share < SPARSE_SHARE:
            return False
    moved[event.text] = event
    return True


def _status_text(event: StepStatus) -> str:
    text = event.text
    if event.total:
        text += f" {human_size(event.current)} / {human_size(event.total)}"
    elif event.current:
        text += f" {human_size(event.current)}"
    if event.began is not None:
        text += f" {event.time - event.began:.1f}s"
    return text + (" done" if event.done else "")


def _summary(event: BuildFinished) -> str:
    steps = event.cached + event.ran
    return (
        f"{steps} step{'' if steps == 1 else 's'}: {event.cached} cached, {event.ran} ran; "
        f"{event.seconds:.1f}s, {human_size(event.added_bytes)} added, "
        f"{human_size(event.shared_bytes)} shared"
    )
