"""Turns what the executor does into events, one at a time, and remembers the results of steps.

Used from several threads. Numbers are given in the order in which steps begin.
"""

from __future__ import annotations

import threading
import time

from fastlayer.builder.result import StepResult
from fastlayer.builder.transfer import Transfer
from fastlayer.progress.events import (
    BuildFinished,
    BuildWarning,
    Event,
    Renderer,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)

TAIL_BYTES = 16 * 1024
"""How much of the output of a step is kept, for the message when it fails."""


class Reporter:
    """Sends events to a renderer.

    Parameters
    ----------
    renderer:
        Who shows them.
    """

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._lock = threading.Lock()
        self._count = 0
        self._results: list[StepResult] = []
        self._warnings: list[str] = []
        self._added = 0
        self.tail = b""
        """The last output of the step that failed."""

    def step(self, name: str, inputs: tuple[int, ...] = ()) -> ReportedStep:
        """Begin a step."""
        with self._lock:
            self._count += 1
            number = self._count
            self._renderer.event(StepStarted(number, name, time.time(), inputs))
        return ReportedStep(self, number, name)

    def warning(self, text: str, file: str, line: int) -> None:
        """Tell of something that is probably not meant."""
        with self._lock:
            self._warnings.append(f"{file}:{line}: {text}" if line else f"{file}: {text}")
            self._renderer.event(BuildWarning(text, file, line))

    def finish(self, image_id: str | None, content_size: int, seconds: float) -> None:
        """Tell that the build is done; ``content_size`` is the result's, bytes of file contents."""
        with self._lock:
            cached = sum(result.cached for result in self._results)
            ran = len(self._results) - cached
            shared = max(0, content_size - self._added)
            self._renderer.event(BuildFinished(image_id, cached, ran, seconds, self._added, shared))

    def results(self) -> tuple[StepResult, ...]:
        """The steps that ended so far."""
        with self._lock:
            return tuple(self._results)

    def warnings(self) -> tuple[str, ...]:
        """The warnings so far."""
        with self._lock:
            return tuple(self._warnings)

    def send(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            self._renderer.event(event)

    def keep(self, result: StepResult) -> None:
        """Remember how a step of the Dockerfile went."""
        with self._lock:
            self._results.append(result)
            self._added += result.added_bytes


class ReportedStep:
    """A step that has begun; made by :meth:`Reporter.step`."""

    def __init__(self, reporter: Reporter, number: int, name: str) -> None:
        self._reporter = reporter
        self.number = number
        self.name = name
        self._began = time.monotonic()
        self._tail = b""

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._began

    def output(self, stream: int, data: bytes) -> None:
        """Show what its process wrote."""
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        self._reporter.send(StepOutput(self.number, stream, data, time.time()))

    def status(self, text: str, current: int = 0, total: int = 0) -> None:
        """Show a line about its work."""
        self._reporter.send(StepStatus(self.number, text, time.time(), current, total))

    def transfer(self, text: str = "") -> Transfer:
        """Begin to move bytes, which are shown where that takes long."""
        return Transfer(self._moved, text)

    def _moved(self, text: str, current: int, total: int, began: float, done: bool) -> None:
        now = time.time()
        self._reporter.send(StepStatus(self.number, text, now, current, total, began, done))

    def done(self, *, cached: bool = False, added_bytes: int = 0) -> None:
        """It ended well."""
        self._reporter.send(
            StepFinished(
                self.number, time.time(), self.seconds, cached=cached, added_bytes=added_bytes
            )
        )

    def failed(self, error: str, *, canceled: bool = False) -> None:
        """It failed, or was given up because the build stopped."""
        if self._tail and not canceled:
            self._reporter.tail = self._tail
        self._reporter.send(
            StepFinished(self.number, time.time(), self.seconds, error=error, canceled=canceled)
        )
