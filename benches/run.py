"""``python -m benches.run [NAME…]``: every bench, or the named ones, as one table."""

from __future__ import annotations

import sys

from benches import (
    build_steps,
    builds,
    container_commit,
    context_walk,
    dockerfile_parse,
    image_load,
    store_copy,
    store_export,
    store_ingest,
    store_memory,
    store_tree,
)
from benches.rounds import main

STORE = (store_ingest, store_copy, store_export, store_tree, context_walk, store_memory)
WHOLE = (builds, build_steps, image_load, container_commit, dockerfile_parse)

if __name__ == "__main__":
    sys.exit(main(*(module.BENCH for module in (*STORE, *WHOLE))))
