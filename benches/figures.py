"""Measured figures, the goals they are held against, and the Markdown table of both.

Knows nothing of what is measured. A figure has a *job* and a *side*: a program, or fastlayer itself
under another condition. Every figure is a median of rounds.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

OWN = "fastlayer"
"""The side that the goals are about."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure of ours is to reach.

    Parameters
    ----------
    job:
        What is measured.
    peer:
        The side that ours is held against; ``None`` where ``bound`` is a figure by itself.
    bound:
        The most that ours may be: as a multiple of the peer's, or in the figure's unit.
    """

    job: str
    peer: str | None
    bound: float


@dataclass(slots=True)
class Figures:
    """All figures of a run: ``values[job][side]`` has one value a round, all of one unit a job."""

    values: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    units: dict[str, str] = field(default_factory=dict)
    processor: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """Seconds of CPU time of the side's own processes, where it was a process of ours."""

    def add(
        self, job: str, side: str, value: float, *, unit: str = "s", processor: float | None = None
    ) -> None:
        """Put down a value of one round: ``unit`` is ``s`` or ``B``."""
        self.values[job][side].append(value)
        self.units[job] = unit
        if processor is not None:
            self.processor[job][side].append(processor)

    def median(self, job: str, side: str) -> float | None:
        """The median, or ``None`` where it was not measured."""
        values = self.values.get(job, {}).get(side)
        return statistics.median(values) if values else None

    def document(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {"values": self.values, "units": self.units, "processor": self.processor}


def table(figures: Figures, goals: Sequence[Goal]) -> str:
    """The figures as Markdown: one row for each job and peer, in the order they were measured."""
    lines = [
        f"| job | {OWN} | beside | | goal | |",
        "|---|---|---|---|---|---|",
    ]
    for job, sides in figures.values.items():
        lines += _rows(figures, job, list(sides), [goal for goal in goals if goal.job == job])
    return "\n".join(lines)


def _rows(figures: Figures, job: str, sides: list[str], goals: list[Goal]) -> Iterable[str]:
    own = figures.median(job, OWN)
    if own is None:
        return [f"| {job} | – | {side} | {_cell(figures, job, side)} | | |" for side in sides]
    cell = _cell(figures, job, OWN)
    rows = []
    for goal in [goal for goal in goals if goal.peer is None]:
        met = _verdict(own <= goal.bound)
        bound = show(goal.bound, figures.units[job])
        rows.append(f"| {job} | {cell} | | | at most {bound} | {met} |")
    for side in (side for side in sides if side != OWN):
        peer = figures.median(job, side) or 0.0
        shown = f"{_cell(figures, job, side)}, {peer / own:.2f}x" if own else ""
        bounds = [goal.bound for goal in goals if goal.peer == side]
        wanted = _multiple(bounds[0]) if bounds else ""
        met = _verdict(own <= bounds[0] * peer) if bounds else ""
        rows.append(f"| {job} | {cell} | {side} | {shown} | {wanted} | {met} |")
    return rows or [f"| {job} | {cell} | | | | |"]


def _verdict(met: bool) -> str:
    return "met" if met else "**not met**"


def _multiple(bound: float) -> str:
    if bound == 1:
        return "no more"
    if bound < 1:
        return f"at least {1 / bound:.3g}x"
    return f"at most {bound:g} of it"


def _cell(figures: Figures, job: str, side: str) -> str:
    value = figures.median(job, side)
    if value is None:
        return "–"
    text = show(value, figures.units[job])
    processor = figures.processor.get(job, {}).get(side)
    if processor:
        text += f" (CPU {show(statistics.median(processor), 's')})"
    return text


def show(value: float, unit: str) -> str:
    """A figure with a unit that suits its size; ``unit`` is ``s`` or ``B``."""
    if unit == "B":
        return f"{value / 1e6:.1f} MB"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or name == "µs":
            return f"{value * factor:.3g} {name}"
    return f"{value:g} s"
