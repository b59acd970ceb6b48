"""Which renderer a mode names, and what the live display leaves on a terminal."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from fastlayer.errors import UsageError
from fastlayer.progress import renderer
from fastlayer.progress.events import (
    BuildFinished,
    QuietRenderer,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)
from fastlayer.progress.plain import PlainRenderer
from fastlayer.progress.rawjson import RawJsonRenderer
from fastlayer.progress.size import human_size
from fastlayer.progress.tty import TtyRenderer
from rich.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_modes() -> None:
    stream = io.StringIO()
    assert isinstance(renderer("auto", stream, {}), PlainRenderer)
    assert isinstance(renderer("plain", Terminal(), {}), PlainRenderer)
    assert isinstance(renderer("auto", Terminal(), {"TERM": "dumb"}), PlainRenderer)
    assert isinstance(renderer("rawjson", stream, {}), RawJsonRenderer)
    assert isinstance(renderer("quiet", stream, {}), QuietRenderer)
    assert isinstance(renderer("none", stream, {}), QuietRenderer)
    with pytest.raises(UsageError, match="needs a terminal"):
        renderer("tty", stream, {})
    with pytest.raises(UsageError, match="fancy is not a form"):
        renderer("fancy", stream, {})


def test_the_live_display_ends_with_a_line_a_step() -> None:
    stream = Terminal()
    shown = renderer("auto", stream, {"TERM": "xterm", "NO_COLOR": "1"})
    shown.event(StepStarted(1, "[1/2] RUN make", 0.0))
    shown.event(StepOutput(1, 1, b"progress 1\rprogress 2\nlast", 0.0))
    shown.event(StepFinished(1, 1.0, 1.0))
    shown.event(StepStarted(2, "[2/2] RUN false", 1.0))
    shown.event(StepOutput(2, 2, b"what went wrong\n", 1.0))
    shown.event(StepFinished(2, 2.0, 1.0, error="exit code 1"))
    shown.event(BuildFinished("sha256:1", 0, 1, 2.0, 0, 3))
    shown.close()
    text = stream.getvalue()
    assert " => [1/2] RUN make" in text
    assert " => ERROR [2/2] RUN false" in text
    assert "    what went wrong" in text
    assert "[+] built in 2.0s: 0 cached, 1 ran, 0B added, 3B shared" in text


def test_the_live_display_shows_bytes_of_what_moves() -> None:
    stream = Terminal()
    shown = renderer("auto", stream, {"TERM": "xterm", "NO_COLOR": "1"})
    shown.event(StepStarted(1, "[1/1] COPY . .", 0.0))
    shown.event(StepStatus(1, "copying", 1.0, 1500, 3000, began=0.0))
    assert isinstance(shown, TtyRenderer)
    drawn = Console(file=io.StringIO(), width=60)
    drawn.print(shown)
    shown.close()
    assert isinstance(drawn.file, io.StringIO)
    assert " => => copying 1.5kB / 3kB" in drawn.file.getvalue()


def test_rich_is_imported_by_the_live_display_only() -> None:
    program = (
        "import sys, io, fastlayer.progress as p\n"
        "for mode in ('plain', 'rawjson', 'quiet'): p.renderer(mode, io.StringIO(), {})\n"
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1270, "1.27kB"), (1_270_000_000, "1.27GB")],
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text
