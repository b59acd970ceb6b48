"""``python -m benches.builds``: a large COPY built by fastlayer, BuildKit and buildah.

The images are first compared file by file: a builder that makes another tree is not measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benches.base_image import BASE, base_archive
from benches.context import copy_context, edit_one, site_packages, touch_all
from benches.figures import Goal
from benches.peers import BuildKit, Peer, builders
from benches.rounds import Bench, Round, main
from tests.support.tree_compare import differences, read_tar

COLD, UNCHANGED = "cold build, COPY of 1 GB", "nothing changed"
TOUCHED, EDITED = "all mtimes touched", "one file edited"
SAVED = "save of what was edited, zstd"
CODECS = ("none", "gzip", "zstd")


def measure(turn: Round) -> None:
    """One round: each builder with a store, a base and a context on the same file system."""
    mount = turn.mount
    context = copy_context(site_packages(turn.cache), mount / "context", BASE)
    with builders(mount) as peers:
        for peer in peers:
            peer.load(base_archive(turn.cache))
        turn.each(COLD, peers, lambda peer: peer.build(context))
        if turn.number == 0:
            check_equal(mount, peers)
        turn.each(UNCHANGED, peers, lambda peer: peer.build(context))
        for codec in CODECS:
            measure_save(turn, f"save, {codec}", peers, codec)
        touch_all(context / "site")
        turn.each(TOUCHED, peers, lambda peer: peer.build(context))
        edit_one(context / "site", turn.number)
        turn.each(EDITED, peers, lambda peer: peer.build(context))
        measure_save(turn, SAVED, peers, "zstd")


def measure_save(turn: Round, job: str, peers: list[Peer], codec: str) -> None:
    """Save with each builder that has the codec, to a file of its own."""
    outputs = {
        peer: turn.mount / f"saved-{number}"
        for number, peer in enumerate(peers)
        if codec in peer.codecs()
    }
    turn.each(job, outputs, lambda peer: peer.save(outputs[peer], codec))
    for output in outputs.values():
        output.unlink()


def check_equal(mount: Path, peers: list[Peer]) -> None:
    """End the run where two builders made different trees."""
    trees = {}
    for peer in peers:
        output = mount / "tree.tar"
        peer.tree(output)
        trees[peer.name] = read_tar(output)
        output.unlink()
    first = trees[peers[0].name]
    for peer in peers[1:]:
        # A created container has mount points of its engine's; they are not the image's.
        ignored = ("", ".dockerenv", "dev", "etc", "proc", "sys", "run")
        engine = {path for path in trees[peer.name] if path.startswith(("dev/", "proc/", "sys/"))}
        engine |= {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}
        wrong = differences(
            first,
            trees[peer.name],
            ignore_paths={*ignored, *engine},
            ignore_fields=("mtime", "link_group", "xattrs"),
        )
        if wrong:
            raise SystemExit(f"{peer.name} made another tree:\n" + "\n".join(wrong[:20]))


BENCH = Bench(
    "builds",
    measure,
    (
        Goal(COLD, BuildKit.name, 1 / 6),
        Goal(UNCHANGED, None, 0.2),
        Goal(UNCHANGED, BuildKit.name, 1 / 5),
        Goal(TOUCHED, None, 0.8),
    ),
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
