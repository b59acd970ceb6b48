"""``python -m benches.store_ingest``: a layer's tar into the store, beside what unpacks it."""

from __future__ import annotations

import sys

from benches.figures import OWN, Goal
from benches.layer_peers import (
    make_layout,
    tree_hash,
    unpack_by_skopeo,
    unpack_by_tar,
    unpack_by_umoci,
)
from benches.layer_tar import layer_tar
from benches.rounds import Bench, Round, main, run_process
from benches.store_call import StoreCalls

FIRST = "ingest of a 1 GB layer"
AGAIN = "ingest again, all contents present"
OBJECTS = "cp -r of its objects"
"""What the disk and the kernel alone take for what an ingest writes."""
TAR, UMOCI, SKOPEO, SHA256 = "tar xf", "umoci unpack", "skopeo copy", "openssl dgst -sha256"


def measure(turn: Round) -> None:
    """One round; in the first one the trees that were made are compared."""
    tar, mount = layer_tar(turn.cache), turn.mount
    layout = make_layout(tar, mount / "layout")
    calls = StoreCalls(mount / "store")
    run_process(["cat", tar])  # it is in memory for whoever comes first
    trees = []
    turn.in_turn(
        FIRST,
        {
            OWN: lambda: calls.run("ingest", tar),
            TAR: lambda: trees.append(unpack_by_tar(tar, mount / "tar")),
            UMOCI: lambda: trees.append(unpack_by_umoci(layout, mount / "umoci")),
            SKOPEO: lambda: trees.append(unpack_by_skopeo(layout, mount / "skopeo")),
        },
    )
    objects = mount / "store" / "objects"
    turn.measure(FIRST, OBJECTS, lambda: run_process(["cp", "-r", objects, mount / "objects"]))
    diff_id = calls.run("ingest", tar)
    if turn.number == 0:
        own = mount / "tree"
        own.mkdir()
        calls.run("tree", diff_id, own)
        if len({tree_hash(tree) for tree in (own, *trees)}) != 1:
            raise SystemExit("the trees that were unpacked differ")
    turn.in_turn(
        AGAIN,
        {
            OWN: lambda: calls.run("ingest", tar),
            SHA256: lambda: run_process(["openssl", "dgst", "-sha256", tar]),
        },
    )


BENCH = Bench(
    "store_ingest",
    measure,
    (
        Goal(FIRST, TAR, 1),
        Goal(FIRST, UMOCI, 1 / 5),
        Goal(FIRST, SKOPEO, 1 / 8),
        Goal(AGAIN, SHA256, 1.5),
    ),
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
