"""Other tools as keepers of trees: what they unpack, and the layers that they write.

Docker's tree is that of the directories its engine mounts, podman's and buildah's that of their
own mount of the image, umoci's the root of its bundle.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.docker_engine import DockerEngine
from tests.support.requirements import need_program, need_root
from tests.support.rich_tree import Edit
from tests.support.tree_compare import Node
from tests.support.tree_folder import read_folder
from tests.support.tree_mount import TreeMounts


class TreeKeeper(Protocol):
    """A tool that takes images from archives and shows their trees."""

    def load(self, archive: Path) -> None:
        """Take every image of an archive."""

    def tree(self, image: str) -> dict[str, Node]:
        """The tree of an image by its full name."""


class LayerWriter(TreeKeeper, Protocol):
    """A tool that makes layers."""

    def build(self, context: Path, image: str) -> None:
        """Build a context with its Dockerfile."""

    def commit(self, base: str, edit: Edit, image: str) -> None:
        """Make an image of a container of ``base`` whose tree was edited."""

    def save(self, image: str, archive: Path) -> None:
        """Write an image to an archive."""


@dataclass(frozen=True, slots=True)
class Umoci:
    """Unpacks bundles below a folder."""

    folder: Path

    def load(self, archive: Path) -> None:
        with tarfile.open(archive) as tar:
            tar.extractall(self.folder / "layout", filter="data")

    def tree(self, image: str) -> dict[str, Node]:
        bundle = self.folder / "bundle"
        tag = image.rpartition(":")[2]
        _run(need_program("umoci"), "unpack", "--image", f"{self.folder}/layout:{tag}", str(bundle))
        try:
            return read_folder(bundle / "rootfs")
        finally:
            shutil.rmtree(bundle)


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker Engine; ``mounts`` shows the directories that it keeps."""

    engine: DockerEngine
    mounts: TreeMounts
    buildkit: bool = True

    def load(self, archive: Path) -> None:
        self.engine.run("load", "-i", str(archive))

    def tree(self, image: str) -> dict[str, Node]:
        shown = json.loads(self.engine.run("image", "inspect", image).stdout)[0]["GraphDriver"]
        assert shown["Name"] == "overlay2", shown
        lowers = [shown["Data"]["UpperDir"], *shown["Data"].get("LowerDir", "").split(":")]
        with self.mounts.mounted_over([lower for lower in lowers if lower]) as mount:
            return read_folder(mount.merged)

    def build(self, context: Path, image: str) -> None:
        words = ("build", "--network=host", "--no-cache", "-t", image, str(context))
        self.engine.run(*words, buildkit=self.buildkit)

    def commit(self, base: str, edit: Edit, image: str) -> None:
        words = ("run", "-d", "--network=host", base, "sleep", "1000")
        container = self.engine.run(*words).stdout.strip()
        shown = self.engine.run("inspect", "-f", "{{.State.Pid}}", container).stdout
        edit(Path(f"/proc/{int(shown)}/root"))
        self.engine.run("commit", container, image)
        self.engine.run("rm", "-f", container)

    def save(self, image: str, archive: Path) -> None:
        self.engine.run("save", "-o", str(archive), image)


@dataclass(frozen=True, slots=True)
class Podman:
    """podman, and buildah to build: they keep one store."""

    folder: Path
    run_folder: Path

    def load(self, archive: Path) -> None:
        self._podman("load", "-i", str(archive))

    def tree(self, image: str) -> dict[str, Node]:
        mount = self._podman("image", "mount", image).strip()
        try:
            return read_folder(Path(mount))
        finally:
            self._podman("image", "unmount", image)

    def build(self, context: Path, image: str) -> None:
        words = ("bud", "--isolation=chroot", "--network=host", "--layers", "--pull-never")
        _run(need_program("buildah"), *self._options(), *words, "-t", image, str(context))

    def commit(self, base: str, edit: Edit, image: str) -> None:
        container = self._podman("create", base).strip()
        edit(Path(self._podman("mount", container).strip()))
        self._podman("unmount", container)
        self._podman("commit", "--format=docker", container, image)
        self._podman("rm", container)

    def save(self, image: str, archive: Path) -> None:
        self._podman("save", "--format=docker-archive", "-o", str(archive), image)

    def _options(self) -> list[str]:
        store = [f"--root={self.folder}", f"--runroot={self.run_folder}"]
        return [*store, "--storage-driver=overlay"]

    def _podman(self, *arguments: str) -> str:
        words = [*self._options(), "--cgroup-manager=cgroupfs", *arguments]
        return _run(need_program("podman"), *words)


@contextlib.contextmanager
def podman_store(folder: Path) -> Iterator[Podman]:
    """A store of podman's below ``folder``, for the time of the context; needs root."""
    need_root()
    # podman refuses a long run root.
    short = Path(tempfile.mkdtemp(prefix="podman-", dir="/tmp"))
    try:
        yield Podman(folder / "podman", short)
    finally:
        for path in (folder / "podman", short):
            mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
            for mount in sorted((m for m in mounts if m.startswith(f"{path}/")), reverse=True):
                subprocess.run(["umount", "--lazy", mount], check=False)
            shutil.rmtree(path, ignore_errors=True)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, check=False, timeout=300)
    assert not done.returncode, f"{' '.join(words)}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode()
