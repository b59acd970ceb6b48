"""``python -m benches.store_tree``: questions to tree indexes, as calls in this process."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from fastlayer.store import Store

from benches.figures import OWN, Goal
from benches.layer_tar import MTIME, directory_of, empty_files, path_of, small_files
from benches.rounds import Bench, Round, main

IMAGE, CHANGED = 100_000, 500
ENTRIES, LOOKUPS = 1_000_000, 20_000
DIFF = "changes of an upper with 500 files over an image of 100,000"
LOOKUP = "one path of an index of 1,000,000"
REPEATS = 21


def measure(turn: Round) -> None:
    """One round, which has many repeats of its own."""
    measure_diff(turn)
    measure_lookup(turn)


def measure_diff(turn: Round) -> None:
    """``Store.changes``, with the indexes open and the upper in memory."""
    store = Store(turn.mount / "store")
    diff_id = ingest(store, small_files(IMAGE))
    upper = make_upper(turn.mount / "upper")
    found = store.changes([diff_id], str(upper))
    # The directories above a change are listed with it, without a reason.
    files = [change for change in found if "content" in change.reasons]
    if len(files) != CHANGED:
        raise SystemExit(f"{len(files)} changes, not {CHANGED}: {found[:3]}")
    turn.figures.add(DIFF, OWN, typical(lambda: store.changes([diff_id], str(upper))))


def make_upper(upper: Path) -> Path:
    """An overlay upper in which every 200th file of the image has another content."""
    for number in range(0, IMAGE, IMAGE // CHANGED):
        path = upper / path_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"another content\n")
    for number in range(IMAGE):
        folder = upper / directory_of(number)
        if number % 1000 == 0 and folder.exists():
            folder.chmod(0o755)
            os.utime(folder, (MTIME, MTIME))
    return upper


def measure_lookup(turn: Round) -> None:
    """``Store.stat``: paths all over the index, each looked for once."""
    store = Store(turn.mount / "store")
    chain = [ingest(store, empty_files(ENTRIES))]
    paths = [path_of(number * 7919 % ENTRIES).encode() for number in range(LOOKUPS)]
    entries = [store.stat(chain, path) for path in paths[:100]]
    if [entry and entry.path for entry in entries] != paths[:100]:
        raise SystemExit("a path of the index was not found")
    started = time.perf_counter()
    for path in paths:
        store.stat(chain, path)
    turn.figures.add(LOOKUP, OWN, (time.perf_counter() - started) / LOOKUPS)


def ingest(store: Store, pieces: Iterable[bytes]) -> str:
    """Take a generated tar into the store; gives its DiffID."""
    with tempfile.TemporaryFile(dir=store.root) as file:
        for piece in pieces:
            file.write(piece)
        file.seek(0)
        return store.import_layer(file.fileno()).diff_id


def typical(work: Callable[[], object]) -> float:
    """The median time of a call, in seconds."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


BENCH = Bench("store_tree", measure, (Goal(DIFF, None, 0.030), Goal(LOOKUP, None, 10e-6)), rounds=2)

if __name__ == "__main__":
    sys.exit(main(BENCH))
