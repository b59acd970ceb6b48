"""Rounds of measurements: each on a fresh file system, the sides of a job in turn, both synced.

A *bench* measures the jobs of one subject in one round. Who goes first alternates from round to
round, since the page cache is warm for whoever comes later, and memory that a virtual machine
touches for the first time is slow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from benches.figures import Figures, Goal, table
from benches.loop_file_system import fresh_file_system, settle
from benches.machine import describe, floors

DAEMONS = frozenset({"docker buildkit"})
"""Sides whose work is done by a process that runs all the time: its CPU time is not told."""


class Named(Protocol):
    """A side of a job."""

    @property
    def name(self) -> str:
        """As the table calls it."""


P = TypeVar("P", bound=Named)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one bench.

    ``mount`` is a fresh file system of its own, ``cache`` a folder where inputs are kept from run
    to run.
    """

    number: int
    mount: Path
    cache: Path
    figures: Figures

    def in_turn(self, job: str, sides: Mapping[str, Callable[[], object]]) -> None:
        """Measure the sides of a job; every second round in the opposite order."""
        order = list(sides.items())
        for side, work in order if self.number % 2 == 0 else order[::-1]:
            self.measure(job, side, work)

    def each(self, job: str, peers: Iterable[P], work: Callable[[P], object]) -> None:
        """Measure the same work of several peers in turn."""
        self.in_turn(job, {peer.name: partial(work, peer) for peer in peers})

    def measure(self, job: str, side: str, work: Callable[[], object]) -> None:
        """Measure one side: its time ends when its bytes are on the disk."""
        settle(self.mount)
        spent = _processor_seconds()
        started = time.perf_counter()
        work()
        settle(self.mount)
        elapsed = time.perf_counter() - started
        processor = None if side in DAEMONS else _processor_seconds() - spent
        self.figures.add(job, side, elapsed, processor=processor)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True)
class Bench:
    """Measurements of one subject; ``rounds`` is the most that are worth anything."""

    name: str
    measure: Callable[[Round], None]
    goals: tuple[Goal, ...] = ()
    rounds: int = 1000


def run_process(
    words: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
) -> bytes:
    """Run a program to its end; gives what it wrote.

    Raises
    ------
    RuntimeError
        It failed; the message has what it complained of.
    """
    done = subprocess.run(
        [str(word) for word in words],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        complaint = done.stderr.decode(errors="replace")
        raise RuntimeError(f"{' '.join(str(word) for word in words)}: {complaint}")
    return done.stdout


def run_shell(script: str, *arguments: str | Path) -> bytes:
    """Run a shell script, where the peer is a pipeline; it fails with any part of it."""
    return run_process(["bash", "-euo", "pipefail", "-c", script, "bash", *arguments])


def main(*benches: Bench) -> int:
    """The command line of a bench by itself, and of several."""
    options = _options([bench.name for bench in benches])
    chosen = [bench for bench in benches if not options.names or bench.name in options.names]
    if _profile() not in ("release", "profiling"):
        sys.stderr.write("error: only an optimised build of the core is worth measuring\n")
        return 1
    figures = Figures()
    failed = False
    for number in range(options.rounds):
        for bench in (bench for bench in chosen if number < bench.rounds):
            failed |= not _run_round(bench, number, options.cache, figures)
    machine = describe()
    limits = {} if options.no_floors else floors(options.cache)
    print(f"{machine}; medians of {options.rounds} rounds\n")
    print(table(figures, [goal for bench in chosen for goal in bench.goals]))
    if limits:
        print("\nFloors: " + ", ".join(f"{name} {text}" for name, text in limits.items()))
    if options.json:
        document = {"machine": machine, "floors": limits, **figures.document()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(failed)


def _run_round(bench: Bench, number: int, cache: Path, figures: Figures) -> bool:
    """Run a round; one that fails is told, and does not cost the figures of all others."""
    print(f"round {number + 1}: {bench.name}", file=sys.stderr, flush=True)
    try:
        with fresh_file_system(cache) as mount:
            bench.measure(Round(number, mount, cache, figures))
    except (Exception, SystemExit) as error:
        print(f"error: {bench.name}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures beside peers; as root.")
    if len(names) > 1:
        parser.add_argument("names", nargs="*", help=f"which ones: {', '.join(names)}")
    else:
        parser.set_defaults(names=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, required=True, help="folder for inputs and images")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--no-floors", action="store_true", help="leave the machine's limits out")
    options = parser.parse_args()
    wrong = [name for name in options.names if name not in names]
    if wrong:
        parser.error(f"no such bench: {', '.join(wrong)}")
    return options


def _profile() -> str:
    from fastlayer.store import build_info

    return build_info()["profile"]
