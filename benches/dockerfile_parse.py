"""``python -m benches.dockerfile_parse``: all Dockerfiles of a folder of real ones, together."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from benches.figures import OWN, Goal
from benches.rounds import Bench, Round, main

PARSE = "parsing 256 Dockerfiles together"
LIST = "SOURCES.tsv"


def measure(turn: Round) -> None:
    """One round: files in memory, the parser imported; syntax and instruction rules."""
    from fastlayer.dockerfile import parse
    from fastlayer.errors import DockerfileError

    folder = corpus()
    if folder is None:
        print("dockerfile_parse: left out, $FASTLAYER_CORPUS is no folder", file=sys.stderr)
        return
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LIST]
    contents = [path.read_bytes() for path in sorted(files)]
    refused = 0
    started = time.perf_counter()
    for content in contents:
        try:
            parse(content)
        except DockerfileError:
            refused += 1
    turn.figures.add(PARSE, OWN, time.perf_counter() - started)
    if refused > len(contents) // 10:
        raise SystemExit(f"{refused} of {len(contents)} real Dockerfiles were refused")


def corpus() -> Path | None:
    """The folder of real Dockerfiles, where there is one (see tests/support/requirements.py)."""
    named = os.environ.get("FASTLAYER_CORPUS")
    root = Path(named) if named else Path(__file__).parents[2] / "shared" / "corpus"
    folder = root / "dockerfiles"
    return folder if folder.is_dir() else None


BENCH = Bench("dockerfile_parse", measure, (Goal(PARSE, None, 0.5),))

if __name__ == "__main__":
    sys.exit(main(BENCH))
