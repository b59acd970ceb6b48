"""``python -m benches.image_load``: a docker archive of 1.2 GB into a store that has nothing."""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from benches.base_image import BASE, IMAGE, base_archive, fastlayer_words
from benches.context import copy_context, site_packages
from benches.figures import Goal
from benches.peers import BuildKit, engines
from benches.rounds import Bench, Round, main, run_process

LOAD = "load of a docker archive of 1.2 GB"
SKOPEO = "skopeo copy"


def measure(turn: Round) -> None:
    """One round; every image that came in must be the archive's."""
    mount = turn.mount
    archive = docker_archive(turn.cache)
    run_process(["cat", archive])  # it is in memory for whoever comes first
    place = f"containers-storage:[overlay@{mount / 'storage'}+{mount / 'run'}]{IMAGE}"
    with engines(mount) as found:
        sides = {engine.name: partial(engine.load, archive) for engine in found}
        words = ["skopeo", "copy", "--quiet", f"docker-archive:{archive}", place]
        turn.in_turn(LOAD, {**sides, SKOPEO: lambda: run_process(words)})
        ids = {engine.image_id(IMAGE) for engine in found}
        if len(ids) != 1:
            raise SystemExit(f"the images differ: {ids}")


def docker_archive(cache: Path) -> Path:
    """The archive, made once: the packages on the base, layers plain, as docker save has them."""
    archive = cache / "image.tar"
    if archive.exists():
        return archive
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name)
        words = fastlayer_words(folder / "store")
        context = copy_context(site_packages(cache), folder / "context", BASE)
        run_process([*words, "load", "-q", "-i", base_archive(cache)])
        run_process([*words, "build", "-q", "-t", IMAGE, context])
        run_process([*words, "save", "--compression", "none", "-o", folder / "image.tar", IMAGE])
        part = folder / "docker.tar"
        source = f"oci-archive:{folder / 'image.tar'}"
        run_process(["skopeo", "copy", "--quiet", source, f"docker-archive:{part}:{IMAGE}"])
        part.rename(archive)
    return archive


BENCH = Bench("image_load", measure, (Goal(LOAD, None, 3.0), Goal(LOAD, BuildKit.name, 1 / 10)))

if __name__ == "__main__":
    sys.exit(main(BENCH))
