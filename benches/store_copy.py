"""``python -m benches.store_copy``: COPY of a tree into a layer, and its next version's disk."""

from __future__ import annotations

import sys
from pathlib import Path

from benches.context import site_packages
from benches.figures import OWN, Goal
from benches.layer_peers import tree_hash
from benches.rounds import Bench, Round, main, run_process, run_shell
from benches.store_call import StoreCalls

COPY = "COPY of 41,000 files, 1 GB"
GROWTH = "growth of the store when 1 % of the files changed"
PIPELINE = "tar cf - \\| openssl dgst -sha256, and cp -r"
CHANGED = "what changed and 1 % of the layer"
ONE_IN = 100


def measure(turn: Round) -> None:
    """One round; growth is a matter of bytes and the same in each."""
    mount = turn.mount
    run_process(["cp", "-a", site_packages(turn.cache), mount / "site"])
    calls = StoreCalls(mount / "store")
    found = []
    turn.in_turn(
        COPY,
        {
            OWN: lambda: found.append(calls.run("copy", mount, mount / "stat-cache")),
            PIPELINE: lambda: run_shell(
                'tar cf - -C "$1" site | openssl dgst -sha256 && cp -r "$1/site" "$1/copied"',
                mount,
            ),
        },
    )
    if turn.number == 0:
        tree = mount / "tree"
        tree.mkdir()
        calls.run("tree", found[0], tree)
        if tree_hash(tree / "opt" / "site") != tree_hash(mount / "copied"):
            raise SystemExit("the layer has another tree than was copied")
        measure_growth(turn, calls)


def measure_growth(turn: Round, calls: StoreCalls) -> None:
    """Change some of the files, copy again, and compare the disk that the store takes."""
    mount = turn.mount
    layer = sum(path.lstat().st_size for path in (mount / "site").rglob("*") if path.is_file())
    before = disk_usage(calls.root)
    changed = 0
    files = sorted(path for path in (mount / "site").rglob("*") if path.is_file())
    for path in files[::ONE_IN]:
        with path.open("ab") as file:
            file.write(b"\n# changed\n")
        changed += path.stat().st_size
    calls.run("copy", mount, mount / "stat-cache")
    turn.figures.add(GROWTH, OWN, disk_usage(calls.root) - before, unit="B")
    turn.figures.add(GROWTH, CHANGED, changed + layer / 100, unit="B")


def disk_usage(folder: Path) -> int:
    """What a folder takes on the disk, in bytes."""
    return int(run_process(["du", "-s", "--block-size=1", folder]).split()[0])


BENCH = Bench("store_copy", measure, (Goal(COPY, PIPELINE, 1.3), Goal(GROWTH, CHANGED, 1)))

if __name__ == "__main__":
    sys.exit(main(BENCH))
