"""The builders that are measured: fastlayer, Docker's BuildKit, buildah. Each builds the same
context on the same base, in a store of its own on the measured file system.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from benches.base_image import BASE, IMAGE, fastlayer_words
from benches.rounds import run_process
from tests.support.docker_engine import DockerEngine, docker_engine


class Peer(Protocol):
    """One builder with a store of its own."""

    name: str

    def load(self, archive: Path) -> None:
        """Take an image from a docker archive."""

    def build(self, context: Path) -> None:
        """Build the context's Dockerfile as :data:`IMAGE`."""

    def save(self, output: Path, codec: str) -> None:
        """Save the image as an archive with layers in that codec."""

    def tree(self, output: Path) -> None:
        """Write the image's merged tree as a plain tar."""

    def codecs(self) -> tuple[str, ...]:
        """The codecs that :meth:`save` takes."""


class Engine(Peer, Protocol):
    """A builder that runs containers, too, and makes images of them."""

    def run(self, container: str, script: str) -> None:
        """Run a script in a new container of :data:`BASE`, and keep the container."""

    def changes(self, container: str) -> set[str]:
        """What the container changed, as ``docker diff`` tells it."""

    def commit(self, container: str, image: str) -> None:
        """Make an image of a container."""

    def image_id(self, image: str) -> str:
        """The digest of an image's configuration."""


class Fastlayer:
    """The installed command. ``runtime`` is what runs its steps; by default it chooses."""

    name = "fastlayer"

    def __init__(self, folder: Path, runtime: str | None = None) -> None:
        self._base = fastlayer_words(folder / "fastlayer")
        self._environment = {"FASTLAYER_RUNTIME": runtime} if runtime else {}

    def load(self, archive: Path) -> None:
        run_process([*self._base, "load", "-q", "-i", str(archive)])

    def build(self, context: Path) -> None:
        words = [*self._base, "build", "-q", "-t", IMAGE, str(context)]
        run_process(words, environment=self._environment)

    def save(self, output: Path, codec: str) -> None:
        run_process([*self._base, "save", "--compression", codec, "-o", str(output), IMAGE])

    def codecs(self) -> tuple[str, ...]:
        return ("none", "gzip", "zstd")

    def tree(self, output: Path) -> None:
        with tempfile.TemporaryDirectory() as context:
            (Path(context) / "Dockerfile").write_text(f"FROM {IMAGE}\n")
            run_process([*self._base, "build", "-q", "-o", f"type=tar,dest={output}", context])

    def run(self, container: str, script: str) -> None:
        words = ["run", "--network=host", "--name", container, BASE, "sh", "-c", script]
        run_process([*self._base, *words])

    def changes(self, container: str) -> set[str]:
        return set(run_process([*self._base, "diff", container]).decode().splitlines())

    def commit(self, container: str, image: str) -> None:
        run_process([*self._base, "commit", container, image])

    def image_id(self, image: str) -> str:
        words = ["inspect", "--format", "{{.Id}}", image]
        return run_process([*self._base, *words]).decode().strip()


class BuildKit:
    """Docker's BuildKit, in the engine of Debian's docker.io."""

    name = "docker buildkit"

    def __init__(self, engine: DockerEngine) -> None:
        self._engine = engine

    def load(self, archive: Path) -> None:
        self._engine.run("load", "-q", "-i", str(archive))

    def build(self, context: Path) -> None:
        self._engine.run("build", "-q", "--network=host", "-t", IMAGE, str(context))

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

    def run(self, container: str, script: str) -> None:
        words = ["--network=host", "--name", container, BASE, "sh", "-c", script]
        self._engine.run("run", *words)

    def changes(self, container: str) -> set[str]:
        return set(self._engine.run("diff", container).stdout.splitlines())

    def commit(self, container: str, image: str) -> None:
        self._engine.run("commit", container, image)

    def image_id(self, image: str) -> str:
        words = ["inspect", "--format", "{{.Id}}", image]
        return self._engine.run(*words).stdout.strip()


class Buildah:
    """buildah with its overlay storage."""

    name = "buildah"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = ["buildah", "--root", str(folder / "buildah")]
        self._base += ["--runroot", str(folder / "buildah-run"), "--storage-driver=overlay"]

    def load(self, archive: Path) -> None:
        run_process([*self._base, "pull", "-q", f"docker-archive:{archive}"])

    def build(self, context: Path) -> None:
        words = ["build", "-q", "--layers", "--network=host", "--runtime=runc", "--pull=never"]
        run_process([*self._base, *words, "-t", IMAGE, str(context)])

    def save(self, output: Path, codec: str) -> None:
        words = ["push", "-q", "--format=oci", f"--compression-format={codec}"]
        run_process([*self._base, *words, IMAGE, f"oci-archive:{output}"])

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
        run_process(words)
        run_process([*self._base, "umount", name])
        run_process([*self._base, "rm", name])


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[list[Engine]]:
    """fastlayer and Docker with stores below ``folder``; its daemon runs as long as the context."""
    with docker_engine(folder) as engine:
        yield [Fastlayer(folder), BuildKit(engine)]


@contextlib.contextmanager
def builders(folder: Path) -> Iterator[list[Peer]]:
    """All builders, with stores below ``folder``."""
    with engines(folder) as found:
        yield [*found, Buildah(folder)]
