"""``python -m benches.store_memory``: the most memory that a layer of 20 GB takes, in and out.

The tar comes by a pipe and few of its contents are different, so that it needs no disk; each of its
bytes is hashed, cut and compressed all the same.
"""

from __future__ import annotations

import sys

from benches.figures import OWN, Goal
from benches.layer_tar import LARGE
from benches.rounds import Bench, Round, main, run_process
from benches.store_call import StoreCalls

BYTES = 20_000_000_000
INGEST = "peak memory of the ingest of 20 GB"
EXPORT = "peak memory of the export of 20 GB, zstd 3"
LIMIT = 300e6


def measure(turn: Round) -> None:
    """Peaks of the whole processes, Python included."""
    calls = StoreCalls(turn.mount / "store")
    source = [sys.executable, "-m", "benches.layer_tar", "large", str(BYTES // LARGE + 1)]
    diff_id, peak = calls.run_on(source, "ingest", "-")
    turn.figures.add(INGEST, OWN, peak, unit="B")
    words = calls.words("export", diff_id, "zstd", "/dev/null")
    turn.figures.add(EXPORT, OWN, calls.parse(run_process(words))[1], unit="B")


BENCH = Bench(
    "store_memory", measure, (Goal(INGEST, None, LIMIT), Goal(EXPORT, None, LIMIT)), rounds=1
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
