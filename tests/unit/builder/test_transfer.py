"""Which bytes of a long work are told of."""

from __future__ import annotations

import pytest
from fastlayer.builder.transfer import Transfer

Told = list[tuple[str, int, int, bool]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("fastlayer.builder.transfer.time.monotonic", lambda: now[0])
    return now


def transfer(told: Told, text: str = "copying") -> Transfer:
    return Transfer(
        lambda text, done, total, _, finished: told.append((text, done, total, finished)), text
    )


def test_short_work_is_not_told_of(told: Told, clock: list[float]) -> None:
    with transfer(told) as moved:
        moved(10, 20)
        clock[0] += 0.1
        moved(20, 20)
    assert told == []


def test_long_work_is_told_of_seldom_and_to_its_end(told: Told, clock: list[float]) -> None:
    with transfer(told) as moved:
        for done in range(0, 100, 10):
            moved(done, 100)
            clock[0] += 0.0625
    assert told == [
        ("copying", 40, 100, False),
        ("copying", 70, 100, False),
        ("copying", 100, 100, True),
    ]


def test_more_than_was_foreseen_is_the_whole(told: Told, clock: list[float]) -> None:
    with transfer(told) as moved:
        clock[0] += 1
        moved(30, 20)
        clock[0] += 1
        moved(31, 0)
    assert told == [
        ("copying", 30, 30, False),
        ("copying", 31, 0, False),
        ("copying", 31, 0, True),
    ]


def test_parts_end_one_another(told: Told, clock: list[float]) -> None:
    with transfer(told, "") as moved:
        moved.part("layer a", 0, 10)
        clock[0] += 1
        moved.part("layer a", 7, 10)
        moved.part("layer b", 1, 5)
        clock[0] += 1
        moved.part("layer b", 4, 5)
    assert told == [
        ("layer a", 7, 10, False),
        ("layer a", 10, 10, True),
        ("layer b", 4, 5, False),
        ("layer b", 5, 5, True),
    ]


def test_what_failed_is_not_done(told: Told, clock: list[float]) -> None:
    with pytest.raises(OSError, match="full"), transfer(told) as moved:
        clock[0] += 1
        moved(3, 10)
        raise OSError("full")
    assert told == [("copying", 3, 10, False)]
