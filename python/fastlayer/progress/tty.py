"""The live display of a terminal: a line a step, and below a running one its last output.

The only module that imports rich. Steps that are done scroll away above; those that run are
redrawn a few times a second by rich's own thread.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

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

OUTPUT_LINES = 6
"""Lines of a running step's output that are shown."""

KEPT_LINES = 200
"""Lines of output that are kept, to be shown when the step fails."""


@dataclass(slots=True)
class _Running:
    """A step that is not done yet."""

    name: str
    started: float
    status: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    partial: str = ""


class TtyRenderer:
    """Draws the build on a terminal."""

    def __init__(self, stream: TextIO, *, color: bool = True) -> None:
        self._console = Console(file=stream, no_color=not color, highlight=False)
        self._running: dict[int, _Running] = {}
        self._live = Live(
            self, console=self._console, refresh_per_second=8, transient=True, auto_refresh=True
        )
        self._live.start()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The part that is redrawn: the steps that run."""
        now = time.time()
        for running in list(self._running.values()):
            yield _line(" => ", running.name, f"{now - running.started:.1f}s", options.max_width)
            if running.status:
                yield _line(" => => ", running.status, "", options.max_width)
            for text in list(running.lines)[-OUTPUT_LINES:]:
                yield Text(f"    {text}"[: options.max_width], style="dim", no_wrap=True)

    def event(self, event: Event) -> None:
        """Take one event into the display."""
        match event:
            case StepStarted():
                self._running[event.step] = _Running(event.name, event.time)
            case StepOutput():
                self._output(event)
            case StepStatus():
                moved = f" {human_size(event.current)}" if event.current else ""
                if event.total:
                    moved = f" {human_size(event.current)} / {human_size(event.total)}"
                self._running[event.step].status = event.text + moved
            case StepFinished():
                self._finish(event)
            case BuildWarning():
                place = f"{event.file}:{event.line}" if event.line else event.file
                self._live.console.print(Text(f"warning: {place}: {event.text}", style="yellow"))
            case BuildFinished():
                self._live.console.print(
                    Text(
                        f"[+] built in {event.seconds:.1f}s: {event.cached} cached, "
                        f"{event.ran} ran, {human_size(event.added_bytes)} added, "
                        f"{human_size(event.shared_bytes)} shared",
                        style="blue",
                    )
                )

    def close(self) -> None:
        """Take the live part away."""
        self._live.stop()

    def _output(self, event: StepOutput) -> None:
        running = self._running[event.step]
        text = running.partial + event.data.decode("utf-8", "replace")
        *whole, running.partial = text.split("\n")
        # A carriage return redraws its line (progress bars): only the last drawing counts.
        running.lines.extend(line.rstrip("\r").rsplit("\r", 1)[-1] for line in whole)

    def _finish(self, event: StepFinished) -> None:
        running = self._running.pop(event.step)
        width = self._console.width
        head = " => CACHED " if event.cached else " => "
        if event.error:
            head = " => CANCELED " if event.canceled else " => ERROR "
        style = "red" if event.error else "blue"
        line = _line(head, running.name, f"{event.seconds:.1f}s", width)
        line.stylize(style)
        self._live.console.print(line)
        if event.error and not event.canceled:
            if running.partial:
                running.lines.append(running.partial)
            for text in running.lines:
                self._live.console.print(Text(f"    {text}"))


def _line(head: str, name: str, right: str, width: int) -> Text:
    """A line with its time at the right edge; a long name is cut."""
    room = max(8, width - len(head) - len(right) - 1)
    first = name.split("\n", 1)[0]
    cut = first if len(first) <= room else first[: room - 1] + "…"
    return Text(f"{head}{cut.ljust(room)} {right}", no_wrap=True, overflow="crop")
