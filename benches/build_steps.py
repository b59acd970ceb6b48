"""``python -m benches.build_steps``: RUN steps, and what a step that changes nothing costs.

The first RUN on a base stands alone: it lays the base out for mounting, which Docker and buildah
did when they loaded it.

The early cut-off: an input of a step changes and its result does not. What follows, a large COPY,
stays cached for whoever compares results; the others copy again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benches.base_image import BASE, base_archive
from benches.context import site_packages
from benches.figures import OWN, Goal
from benches.peers import BuildKit, Fastlayer, Peer, builders
from benches.rounds import Bench, Round, main, run_process

STEPS = 20
FIRST = "the first RUN on a base that was loaded"
ECHO, ECHO_UNCHANGED = "20 RUN echo", "20 RUN echo, nothing changed"
BUILTIN = "20 RUN echo, built-in sandbox"
CUT_OFF = "early cut-off: a RUN gives what it gave, a COPY of 1 GB follows"

CUT_OFF_FILE = f"""\
FROM {BASE}
RUN --mount=type=bind,source=input,target=/input wc -l </input >/lines
COPY site /opt/site
"""


def measure(turn: Round) -> None:
    """One round."""
    mount = turn.mount
    first = echo_context(mount / "first", "first", steps=1)
    echo = echo_context(mount / "echo", "step")
    with builders(mount) as peers:
        for peer in peers:
            peer.load(base_archive(turn.cache))
        turn.each(FIRST, peers, lambda peer: peer.build(first))
        turn.each(ECHO, peers, lambda peer: peer.build(echo))
        turn.each(ECHO_UNCHANGED, peers, lambda peer: peer.build(echo))
        measure_builtin(turn, peers[1])
        measure_cut_off(turn, peers)


def measure_builtin(turn: Round, buildkit: Peer) -> None:
    """The same with fastlayer's own sandbox in place of an OCI runtime."""
    context = echo_context(turn.mount / "builtin", "again")
    own = Fastlayer(turn.mount, runtime="builtin")
    sides = {OWN: lambda: own.build(context), buildkit.name: lambda: buildkit.build(context)}
    turn.in_turn(BUILTIN, sides)


def measure_cut_off(turn: Round, peers: list[Peer]) -> None:
    """Change the words of an input whose lines are counted."""
    context = turn.mount / "cut-off"
    context.mkdir()
    run_process(["cp", "-a", site_packages(turn.cache), context / "site"])
    (context / "Dockerfile").write_text(CUT_OFF_FILE)
    (context / "input").write_text("first\n")
    for peer in peers:
        peer.build(context)
    (context / "input").write_text("second\n")
    turn.each(CUT_OFF, peers, lambda peer: peer.build(context))


def echo_context(folder: Path, word: str, steps: int = STEPS) -> Path:
    """A context of nothing but RUN steps."""
    folder.mkdir()
    lines = [f"FROM {BASE}", *(f"RUN echo {word} {number}" for number in range(steps))]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    return folder


BENCH = Bench(
    "build_steps",
    measure,
    (
        Goal(ECHO, None, 0.8),
        Goal(ECHO, BuildKit.name, 1),
        Goal(ECHO_UNCHANGED, None, 0.12),
        Goal(BUILTIN, None, 0.4),
    ),
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
