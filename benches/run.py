"""``python -m benches.run``: whole builds beside the peers, alternated, both sides synced.

Each round uses a fresh file system with every peer's store, its base and its context on it. The
images of the peers are first compared file by file: a builder that makes another tree is not
measured. Prints a table of medians, and the ratio of each peer to fastlayer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benches.context import copy_context, echo_context, edit_one, site_packages, touch_all
from benches.loop_file_system import fresh_file_system, settle
from benches.peers import BASE, Buildah, BuildKit, Fastlayer, Peer, peers
from tests.support.tree_compare import differences, read_tar

Seconds = dict[str, dict[str, list[float]]]


def main() -> int:
    options = _options()
    if "debug" in _profile():
        sys.stderr.write("error: a debug build of the core is not worth measuring\n")
        return 1
    seconds: Seconds = defaultdict(lambda: defaultdict(list))
    site = site_packages(options.cache)
    for number in range(options.rounds):
        with fresh_file_system(options.cache) as mount:
            _round(mount, site, options, number, seconds)
    print(table(seconds))
    if options.json:
        options.json.write_text(json.dumps(seconds, indent=1))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, required=True, help="folder for inputs and images")
    parser.add_argument("--base", type=Path, required=True, help="docker archive of the base")
    parser.add_argument("--peers", nargs="*", default=[Fastlayer.name, BuildKit.name, Buildah.name])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def _profile() -> str:
    from fastlayer.store import build_info

    return build_info()["profile"]


def _round(
    mount: Path, site: Path, options: argparse.Namespace, number: int, seconds: Seconds
) -> None:
    context = copy_context(site, mount / "context", BASE)
    echo = echo_context(mount / "echo", BASE)
    with peers(mount, tuple(options.peers)) as builders:
        for peer in builders:
            peer.load_base(options.base)
        # Who goes first alternates: the page cache is warm for the later ones.
        order = builders if number % 2 == 0 else builders[::-1]

        def measure(job: str, work: Callable[[Peer], None]) -> None:
            for peer in order:
                settle(mount)
                started = time.perf_counter()
                work(peer)
                settle(mount)
                seconds[job][peer.name].append(time.perf_counter() - started)

        measure("cold build", lambda peer: peer.build(context))
        if number == 0:
            _check_equal(mount, builders)
        measure("nothing changed", lambda peer: peer.build(context))
        for codec in ("none", "gzip", "zstd"):
            _measure_save(mount, order, codec, seconds)
        touch_all(context / "site")
        measure("all mtimes touched", lambda peer: peer.build(context))
        edit_one(context / "site", number)
        measure("one file edited", lambda peer: peer.build(context))
        measure("20 RUN echo", lambda peer: peer.build(echo))
        measure("20 RUN echo, nothing changed", lambda peer: peer.build(echo))


def _measure_save(mount: Path, order: list[Peer], codec: str, seconds: Seconds) -> None:
    for peer in order:
        if codec not in peer.codecs():
            continue
        output = mount / "saved"
        output.unlink(missing_ok=True)
        settle(mount)
        started = time.perf_counter()
        peer.save(output, codec)
        settle(mount)
        seconds[f"save, {codec}"][peer.name].append(time.perf_counter() - started)
        output.unlink()


def _check_equal(mount: Path, builders: list[Peer]) -> None:
    trees = {}
    for peer in builders:
        output = mount / "tree.tar"
        peer.tree(output)
        trees[peer.name] = read_tar(output)
        output.unlink()
    first = trees[builders[0].name]
    for peer in builders[1:]:
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


def table(seconds: Seconds) -> str:
    """The figures as a Markdown table: medians in seconds, and ratios to fastlayer's."""
    names = list(dict.fromkeys(name for job in seconds.values() for name in job))
    lines = ["| job | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for job, figures in seconds.items():
        own = statistics.median(figures[Fastlayer.name]) if Fastlayer.name in figures else None
        cells = []
        for name in names:
            if name not in figures:
                cells.append("–")
                continue
            value = statistics.median(figures[name])
            ratio = f" ({value / own:.1f}x)" if own and name != Fastlayer.name else ""
            cells.append(f"{value:.2f} s{ratio}")
        lines.append(f"| {job} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
