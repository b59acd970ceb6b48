"""The builders that are measured: fastlayer, Docker's BuildKit, buildah. Each builds the same
context on the same base, in a store of its own on the measured file system.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.support.docker_engine import DockerEngine, docker_engine

BASE = "bench-base:1"
IMAGE = "bench-image:1"


class Peer(Protocol):
    """One builder with a store of its own."""

    name: str

    def load_base(self, archive: Path) -> None:
        """Take the base image from a docker archive."""

    def build(self, context: Path, *, no_cache: bool = False) -> None:
        """Build the context's Dockerfile as :data:`IMAGE`."""

    def save(self, output: Path, codec: str) -> None:
        """Save the image as an archive with layers in that codec."""

    def tree(self, output: Path) -> None:
        """Write the image's merged tree as a plain tar."""

    def codecs(self) -> tuple[str, ...]:
        """The codecs that :meth:`save` takes."""


def _run(arguments: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        arguments,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode(errors='replace')}")


class Fastlayer:
    """The installed command."""

    name = "fastlayer"

    def __init__(self, folder: Path) -> None:
        self._base = [str(Path(sys.executable).with_name("fastlayer"))]
        self._base += ["--root", str(folder / "fastlayer")]

    def load_base(self, archive: Path) -> None:
        _run([*self._base, "load", "-q", "-i", str(archive)])

    def build(self, context: Path, *, no_cache: bool = False) -> None:
        extra = ["--no-cache"] if no_cache else []
        _run([*self._base, "build", "-q", *extra, "-t", IMAGE, str(context)])

    def save(self, output: Path, codec: str) -> None:
        _run([*self._base, "save", "--compression", codec, "-o", str(output), IMAGE])

    def codecs(self) -> tuple[str, ...]:
        return ("none", "gzip", "zstd")

    def tree(self, output: Path) -> None:
        with tempfile.TemporaryDirectory() as context:
            (Path(context) / "Dockerfile").write_text(f"FROM {IMAGE}\n")
            _run([*self._base, "build", "-q", "-o", f"type=tar,dest={output}", context])


class BuildKit:
    """Docker's BuildKit, in the engine of Debian's docker.io."""

    name = "docker buildkit"

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def load_base(self, archive: Path) -> None:
        self._engine.run("load", "-q", "-i", str(archive))

    def build(self, context: Path, *, no_cache: bool = False) -> None:
        extra = ["--no-cache"] if no_cache else []
        self._engine.run("build", "-q", *extra, "--network=host", "-t", IMAGE, str(context))

    def save(self, output: Path, codec: str) -> None:
        if codec != "none":
            raise ValueError(codec)
        self._engine.run("save", "-o", str(output), IMAGE)

    def codecs(self) -> tuple[str, ...]:
        return ("none",)

    def tree(self, output: Path) -> None:
        container = self._engine.run("create", IMAGE, "x").stdout.strip()
        self._engine.run("export", "-o", str(output), container)
        self._engine.run("rm", container)


class Buildah:
    """buildah with its overlay storage."""

    name = "buildah"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = ["buildah", "--root", str(folder / "buildah")]
        self._base += ["--runroot", str(folder / "buildah-run"), "--storage-driver=overlay"]

    def load_base(self, archive: Path) -> None:
        _run([*self._base, "pull", "-q", f"docker-archive:{archive}"])

    def build(self, context: Path, *, no_cache: bool = False) -> None:
        extra = ["--no-cache"] if no_cache else ["--layers"]
        words = ["build", "-q", *extra, "--network=host", "--runtime=runc", "--pull=never"]
        _run([*self._base, *words, "-t", IMAGE, str(context)])

    def save(self, output: Path, codec: str) -> None:
        words = ["push", "-q", "--format=oci", f"--compression-format={codec}"]
        _run([*self._base, *words, IMAGE, f"oci-archive:{output}"])

    def codecs(self) -> tuple[str, ...]:
        return ("gzip", "zstd")

    def tree(self, output: Path) -> None:
        listed = [*self._base, "from", "--pull-never", IMAGE]
        container = subprocess.run(listed, capture_output=True, text=True, check=True)
        name = container.stdout.strip()
        mounted = subprocess.run(
            [*self._base, "mount", name], capture_output=True, text=True, check=True
        )
        words = ["tar", "-cf", str(output), "--numeric-owner", "-C", mounted.stdout.strip(), "."]
        _run(words)
        _run([*self._base, "umount", name])
        _run([*self._base, "rm", name])


@contextlib.contextmanager
def peers(folder: Path, names: tuple[str, ...]) -> Iterator[list[Peer]]:
    """The named peers, with stores below ``folder``; the engine runs as long as the context."""
    with contextlib.ExitStack() as stack:
        made: list[Peer] = []
        for name in names:
            if name == Fastlayer.name:
                made.append(Fastlayer(folder))
            elif name == BuildKit.name:
                made.append(BuildKit(stack.enter_context(docker_engine(folder))))
            else:
                made.append(Buildah(folder))
        yield made
