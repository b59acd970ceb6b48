"""``python -m benches.context_walk``: an unchanged context of 100,000 files, beside find."""

from __future__ import annotations

import sys
from pathlib import Path

from benches.figures import OWN, Goal
from benches.layer_tar import path_of
from benches.rounds import Bench, Round, main, run_process
from benches.store_call import StoreCalls

FILES = 100_000
WALK = "walk of an unchanged context of 100,000 files"
FIND = "find -printf"
FORMAT = "%i %D %y %m %U %G %s %T@ %C@ %p %l\n"


def measure(turn: Round) -> None:
    """One round: whole processes, the stat cache warm."""
    mount = turn.mount
    site = make_files(mount / "context" / "site")
    calls = StoreCalls(mount / "store")
    cache = mount / "stat-cache"
    first = calls.run("walk", mount / "context", cache)
    # What changed in the same moment as it was looked at is read again: once more makes it sure.
    if calls.run("walk", mount / "context", cache) != first:
        raise SystemExit("the same files have two keys")
    for _ in range(3):
        turn.in_turn(
            WALK,
            {
                OWN: lambda: calls.run("walk", mount / "context", cache),
                FIND: lambda: run_process(["find", site, "-printf", FORMAT]),
            },
        )


def make_files(site: Path) -> Path:
    """So many small files, a thousand a directory."""
    for number in range(FILES):
        path = site / path_of(number)
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"content of file %d\n" % number)
    return site


BENCH = Bench("context_walk", measure, (Goal(WALK, FIND, 1.5),))

if __name__ == "__main__":
    sys.exit(main(BENCH))
