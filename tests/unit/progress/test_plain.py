"""The plain renderer against texts as BuildKit prints them."""

from __future__ import annotations

import io
import time

import pytest
from fastlayer.progress.events import (
    BuildFinished,
    BuildWarning,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)
from fastlayer.progress.plain import PlainRenderer


def shown(*events: Event) -> str:
    stream = io.StringIO()
    renderer = PlainRenderer(stream)
    for event in events:
        renderer.event(event)
    renderer.close()
    return stream.getvalue()


def test_steps_one_after_the_other() -> None:
    text = shown(
        StepStarted(1, "[1/2] FROM docker.io/library/debian:bookworm", 0.0),
        StepFinished(1, 0.0, 0.0, cached=True),
        StepStarted(2, "[2/2] RUN make", 1.0),
        StepOutput(2, 1, b"one\ntw", 1.25),
        StepOutput(2, 1, b"o\n", 1.5),
        StepOutput(2, 2, b"oops\r\n", 1.75),
        StepFinished(2, 2.0, 1.04, added_bytes=10),
        BuildFinished("sha256:1", 1, 1, 2.04, 1_270_000_000, 128_000_000),
    )
    assert text == (
        "#1 [1/2] FROM docker.io/library/debian:bookworm\n"
        "#1 CACHED\n"
        "\n"
        "#2 [2/2] RUN make\n"
        "#2 0.250 one\n"
        "#2 0.500 two\n"
        "#2 0.750 oops\n"
        "#2 DONE 1.0s\n"
        "\n"
        "2 steps: 1 cached, 1 ran; 2.0s, 1.27GB added, 128MB shared\n"
    )


def test_the_other_step_waits_for_its_turn() -> None:
    text = shown(
        StepStarted(1, "[a] RUN one", 0.0),
        StepStarted(2, "[b] RUN two", 0.0),
        StepOutput(1, 1, b"a1\n", 0.1),
        StepOutput(2, 1, b"b1\n", 0.2),
        StepOutput(1, 1, b"a2\n", 0.3),
        StepFinished(1, 0.4, 0.4),
        StepOutput(2, 1, b"b2\n", 0.5),
        StepFinished(2, 0.6, 0.6),
    )
    assert text == (
        "#1 [a] RUN one\n#1 0.100 a1\n#1 0.300 a2\n#1 DONE 0.4s\n"
        "\n"
        "#2 [b] RUN two\n#2 0.200 b1\n#2 0.500 b2\n#2 DONE 0.6s\n"
    )


def test_a_silent_step_gives_its_turn_away_and_takes_it_again() -> None:
    text = shown(
        StepStarted(1, "[a] RUN one", 0.0),
        StepStarted(2, "[b] RUN two", 0.0),
        StepOutput(2, 1, b"b1\n", 2.0),
        StepFinished(2, 2.1, 2.1),
        StepFinished(1, 3.0, 3.0),
    )
    assert text == (
        "#1 [a] RUN one\n#1 ...\n"
        "\n"
        "#2 [b] RUN two\n#2 2.000 b1\n#2 DONE 2.1s\n"
        "\n"
        "#1 [a] RUN one\n#1 DONE 3.0s\n"
    )


def test_failure_cancellation_status_and_warning() -> None:
    text = shown(
        BuildWarning("the stage name is not in lower case", "Dockerfile", 3),
        StepStarted(1, "[1/1] RUN false", 0.0),
        StepStatus(1, "not cached: the instruction changed", 0.0),
        StepStatus(1, "moved", 0.0, current=1500, total=3000),
        StepOutput(1, 2, b"no newline", 0.5),
        StepFinished(1, 1.0, 1.0, error="Dockerfile:4: RUN false: exit code 1"),
        StepStarted(2, "[x] RUN sleep", 1.0),
        StepFinished(2, 1.0, 0.0, error="the build was stopped", canceled=True),
    )
    assert text == (
        "warning: Dockerfile:3: the stage name is not in lower case\n"
        "\n"
        "#1 [1/1] RUN false\n"
        "#1 not cached: the instruction changed\n"
        "#1 moved 1.5kB / 3kB\n"
        "#1 1.000 no newline\n"
        "#1 ERROR: Dockerfile:4: RUN false: exit code 1\n"
        "\n"
        "#2 [x] RUN sleep\n"
        "#2 CANCELED\n"
    )


def test_what_is_held_back_shows_at_the_end() -> None:
    text = shown(
        StepStarted(1, "[a] RUN one", 0.0),
        StepStarted(2, "[b] RUN two", 0.0),
        StepOutput(2, 1, b"b1\n", 0.1),
    )
    assert text == "#1 [a] RUN one\n#1 ...\n\n#2 [b] RUN two\n#2 0.100 b1\n"


def test_what_waits_is_shown_though_nothing_happens_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that speaks once, beside one that is silent, was hidden until either ended."""
    monkeypatch.setattr("fastlayer.progress.plain.PATIENCE", 0.01)
    stream = io.StringIO()
    shown = PlainRenderer(stream)
    now = time.time()
    shown.event(StepStarted(1, "one", now))
    shown.event(StepStarted(2, "two", now))
    shown.event(StepOutput(2, 1, b"begun\n", now))
    assert "begun" not in stream.getvalue()
    deadline = time.monotonic() + 60
    while "begun" not in stream.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    shown.close()
    assert stream.getvalue().endswith("#1 ...\n\n#2 two\n#2 0.000 begun\n")


def test_bytes_are_told_of_sparsely() -> None:
    def moved(time: float, current: int, *, done: bool = False) -> StepStatus:
        return StepStatus(1, "copying", time, current, 1000, began=0.0, done=done)

    text = shown(
        StepStarted(1, "[1/1] COPY . .", 0.0),
        moved(0.3, 100),
        moved(0.5, 200),
        moved(5.4, 240),
        moved(5.5, 260),
        moved(11.0, 300),
        moved(12.0, 1000, done=True),
        StepFinished(1, 12.0, 12.0),
    )
    assert text == (
        "#1 [1/1] COPY . .\n"
        "#1 copying 100B / 1kB 0.3s\n"
        "#1 copying 240B / 1kB 5.4s\n"
        "#1 copying 300B / 1kB 11.0s\n"
        "#1 copying 1kB / 1kB 12.0s done\n"
        "#1 DONE 12.0s\n"
    )
