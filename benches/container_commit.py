"""``python -m benches.container_commit``: an image of a container, beside docker commit."""

from __future__ import annotations

import sys

from benches.base_image import base_archive
from benches.figures import Goal
from benches.peers import Engine, engines
from benches.rounds import Bench, Round, main

COMMIT = "commit of 500 new files, 1 changed, 1 tree deleted"
SCRIPT = """\
mkdir /new; for number in $(seq 500); do echo "content $number" >/new/file$number; done
echo more >>/etc/profile; rm -r /usr/share/doc
"""
REPEATS = 3


def measure(turn: Round) -> None:
    """One round, with several containers on each side."""
    with engines(turn.mount) as found:
        for engine in found:
            engine.load(base_archive(turn.cache))
        for number in range(REPEATS):
            measure_container(turn, found, f"bench{number}")


def measure_container(turn: Round, found: list[Engine], name: str) -> None:
    """Compare what the engines say that the container changed, then make the image."""
    for engine in found:
        engine.run(name, SCRIPT)
    first, other = (engine.changes(name) for engine in found)
    if first != other:
        raise SystemExit(f"the changes differ: {sorted(first ^ other)[:10]}")
    turn.each(COMMIT, found, lambda engine: engine.commit(name, name))


BENCH = Bench("container_commit", measure, (Goal(COMMIT, None, 0.2),))

if __name__ == "__main__":
    sys.exit(main(BENCH))
