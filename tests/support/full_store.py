"""A store with one of each thing that takes room in it, for tests of what df and prune say.

Images that share layers, one that came with compressed layers which are kept, compressed frames
of saves, checkouts with links and stubs, a stopped container with files of its own and a tree that
is deeper than descriptors go, cache mounts, stat caches, a server's answer, a failed step's tree,
and what a killed command left.
"""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from pathlib import Path

from tests.support.archives import config_of, layout, tar_of
from tests.support.busybox_store import busybox_store
from tests.support.command import Command
from tests.support.tar_blocks import END, file

DEPTH = 300
"""Directories within each other in the container."""

DOCKERFILE = """\
FROM base
COPY shared large /data/
RUN --mount=type=cache,target=/cache cp -r /data /again && chmod 700 /again/shared && \
    cp /data/large /cache/kept && ln -f /cache/kept /cache/linked
RUN ln /data/large /linked
"""


def noise(size: int, seed: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def full_store(folder: Path, work: Path) -> Command:
    """Make such a store below ``folder``; inputs and outputs lie in ``work``."""
    command = busybox_store(folder)
    context = work / "context"
    context.mkdir(parents=True)
    (context / "shared").write_bytes(noise(300_000, 1))
    (context / "large").write_bytes(noise(900_000, 2))
    (context / "Dockerfile").write_text(DOCKERFILE)
    command.run("build", "-q", "-t", "one", context)
    (context / "large").write_bytes(noise(700_000, 3))
    command.run("build", "-q", "-t", "two", context)
    _load_compressed(command, work)
    command.run("save", "--compression", "zstd", "-o", work / "one.tar", "one")
    command.run("save", "--compression", "gzip", "-o", work / "two.tar", "two")
    _run_container(command)
    (context / "Dockerfile").write_text("FROM one\nRUN head -c 500000 /dev/zero > /z; exit 3\n")
    command.run("build", "-q", context, check=False)
    answers = command.root / "cache" / "http"
    answers.mkdir(exist_ok=True)
    (answers / ("0" * 32)).write_text("{}")
    # What a killed writer left on a file system without nameless files.
    (command.root / "staging" / ".unfinished-left").write_bytes(noise(50_000, 4))
    (command.root / "trash" / ".unfinished-gone").write_bytes(noise(50_000, 5))
    return command


def _load_compressed(command: Command, work: Path) -> None:
    layer = file(b"own", noise(400_000, 6)) + file(b"data/shared", noise(300_000, 1)) + END
    packed = gzip.compress(layer, mtime=0)
    archive = work / "loaded.tar"
    archive.write_bytes(tar_of(layout("loaded", config_of(layer), packed)))
    command.run("load", "-q", "-i", archive)


def _run_container(command: Command) -> None:
    script = (
        "head -c 200000 /dev/urandom > /own; ln /own /other; cp /data/large /volume/copy; "
        "mkdir -p /deep; cd /deep; n=0; "
        f"while [ $n -lt {DEPTH} ]; do mkdir d; cd d; n=$((n+1)); done; "
        "head -c 100000 /dev/urandom > bottom"
    )
    command.run("run", "--name", "box", "-v", "/volume", "one", "sh", "-c", script)
    command.run("run", "--name", "second", "two", "sh", "-c", "echo more >> /data/large")


def du(path: Path) -> int:
    """Bytes of disk below a directory, by the program."""
    output = subprocess.run(
        ["du", "-s", "--block-size=1", path], check=True, capture_output=True, text=True
    ).stdout
    return int(output.split()[0])


def used(path: Path) -> int:
    """Bytes in use on the file system of a path, once all is written."""
    subprocess.run(["sync", "-f", path], check=True)
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize
