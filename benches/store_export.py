"""``python -m benches.store_export``: layers out of the store, compressed, beside tar and a filter.

Each side ends with a compressed file on the same disk, of the same files at the same level.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benches.context import edit_one, site_packages
from benches.figures import OWN, Goal
from benches.rounds import Bench, Round, main, run_process, run_shell
from benches.store_call import StoreCalls

ZSTD, ZSTD_SIZE = "export, zstd 3", "its size, zstd 3"
GZIP, GZIP_SIZE = "export, gzip 6", "its size, gzip 6"
AGAIN = "export again, zstd 3"
EDITED = "export after one file was edited, zstd 3"
TAR_ZSTD, TAR_PIGZ = "tar \\| zstd -3 -T2", "tar \\| pigz -6 -p2"
FIRST = "the first export"
COPY = "cp of the blob"
"""What the disk and the kernel alone take for what an export writes."""


def measure(turn: Round) -> None:
    """One round; in the first one the exported layers are expanded and compared."""
    mount = turn.mount
    run_process(["cp", "-a", site_packages(turn.cache), mount / "site"])
    calls = StoreCalls(mount / "store")
    diff_id = calls.run("copy", mount, mount / "stat-cache")

    def pair(job: str, codec: str, suffix: str, peer: str, words: str) -> None:
        own, other = mount / f"own.{suffix}", mount / f"peer.{suffix}"
        sides: dict[str, Callable[[], object]] = {
            OWN: lambda: calls.run("export", diff_id, codec, own),
            peer: lambda: run_shell(f'tar cf - -C "$1" site | {words} > "$2"', mount, other),
        }
        turn.in_turn(job, sides)
        size = ZSTD_SIZE if codec == "zstd" else GZIP_SIZE
        turn.figures.add(size, OWN, own.stat().st_size, unit="B")
        turn.figures.add(size, peer, other.stat().st_size, unit="B")

    pair(ZSTD, "zstd", "zst", TAR_ZSTD, "zstd -3 -T2 -q")
    pair(GZIP, "gzip", "gz", TAR_PIGZ, "pigz -6 -p2")
    if turn.number == 0:
        check(calls, diff_id, mount)
    measure_next_version(turn, calls, diff_id)


def measure_next_version(turn: Round, calls: StoreCalls, diff_id: str) -> None:
    """Export once more, and export a version that shares nearly all of its frames."""
    mount = turn.mount
    first = turn.figures.values[ZSTD][OWN][turn.number]
    turn.in_turn(
        AGAIN,
        {
            OWN: lambda: calls.run("export", diff_id, "zstd", mount / "again.zst"),
            COPY: lambda: run_process(["cp", mount / "own.zst", mount / "copy.zst"]),
        },
    )
    turn.figures.add(AGAIN, FIRST, first)
    edit_one(mount / "site", turn.number)
    edited = calls.run("copy", mount, mount / "stat-cache")
    turn.measure(EDITED, OWN, lambda: calls.run("export", edited, "zstd", mount / "edited.zst"))
    turn.figures.add(EDITED, FIRST, first)


def check(calls: StoreCalls, diff_id: str, mount: Path) -> None:
    """What was exported must expand to the layer's tar."""
    for program, name in (("zstd", "own.zst"), ("gzip", "own.gz")):
        found = run_shell(f'{program} -dc "$1" | openssl dgst -sha256 -r', mount / name)
        if found.split()[0].decode() != diff_id.removeprefix("sha256:"):
            raise SystemExit(f"{name} is not the layer's tar")


BENCH = Bench(
    "store_export",
    measure,
    (
        Goal(ZSTD, TAR_ZSTD, 1.15),
        Goal(ZSTD_SIZE, TAR_ZSTD, 1.04),
        Goal(GZIP, TAR_PIGZ, 1),
        Goal(GZIP_SIZE, TAR_PIGZ, 1.03),
        Goal(EDITED, FIRST, 1 / 3),
    ),
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
