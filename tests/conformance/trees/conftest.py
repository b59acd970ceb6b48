"""Images with everything that a layer can carry, and the tools that take them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support import rich_tree
from tests.support.base import rootfs_tar
from tests.support.command import Command
from tests.support.docker_engine import DockerEngine, docker_engine
from tests.support.requirements import need_core, need_root
from tests.support.tree_compare import Node
from tests.support.tree_edit import apply_edits, random_edits
from tests.support.tree_folder import read_folder

need_root()
need_core()

from fastlayer.image import ImageCatalog  # noqa: E402
from fastlayer.oci.config import ImageConfig, RuntimeConfig  # noqa: E402
from fastlayer.oci.history import HistoryEntry  # noqa: E402
from fastlayer.oci.platform import host_platform  # noqa: E402
from fastlayer.store import Store  # noqa: E402

from tests.support.tree_mount import TreeMounts, tree_mounts  # noqa: E402
from tests.support.tree_peers import Podman, podman_store  # noqa: E402

EPOCH = 1_500_000_000
RANDOM = ("random",)
"""Images of random trees."""
DOCKERFILE = """\
FROM trees:filled
COPY rich /copied
ADD --chown=4000000000:70000 rich/files /added/
RUN cd /copied/to_be_changed && rm -r gone again && mkdir again && mkfifo again/pipe \\
 && ln kept/file linked && chmod 4750 kept/file && mv moved moved-here \\
 && rm /rich/links/through/below && rm -r /rich/specials && mkdir /rich/specials
"""


@dataclass(frozen=True, slots=True)
class OurImages:
    """Images of our own by name, their chains, and the archive with all of them."""

    mounts: TreeMounts
    command: Command
    archive: Path
    chains: Mapping[str, tuple[str, ...]]

    def tree(self, chain: tuple[str, ...]) -> dict[str, Node]:
        """What our checkout of a chain shows."""
        with self.mounts.mounted(chain) as mount:
            return read_folder(mount.merged)


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trees")


@pytest.fixture(scope="package")
def context(folder: Path) -> Path:
    """A build context that holds the rich tree."""
    path = folder / "context"
    path.mkdir()
    rich_tree.fill(path)
    (path / "Dockerfile").write_text(DOCKERFILE)
    return path


@pytest.fixture(scope="package")
def ours(folder: Path, context: Path) -> Iterator[OurImages]:
    store = Store(folder / "store")
    command = Command(store.root)
    with tree_mounts(store, folder / "mounts") as mounts:
        base: tuple[str, ...] = (_base(store),)
        chains = {"filled": _edited(mounts, base, rich_tree.fill, adopt=True)}
        for name, adopt in (("run", True), ("commit", False)):
            chains[name] = _edited(mounts, chains["filled"], rich_tree.change, adopt=adopt)
        chains["squashed"] = (*base, store.squash_layers(base, chains["run"]).diff_id)
        chains["clamped"] = tuple(store.clamp_layer(one, EPOCH).diff_id for one in chains["run"])
        for seed, name in enumerate(RANDOM):
            edits = random_edits(seed, 100)
            first, second = (partial(apply_edits, edits=part) for part in (edits[:60], edits[60:]))
            chain = _edited(mounts, base, first, adopt=True)
            chains[name] = _edited(mounts, chain, second, adopt=False)
        for name, chain in chains.items():
            _tag(store, f"trees:{name}", chain)
        command.run("build", "-q", "-t", "trees:built", context)
        chains["built"] = ImageCatalog(store).resolve("trees:built").config.diff_ids
        archive = folder / "ours.tar"
        command.run("save", "-o", archive, *(f"trees:{name}" for name in chains))
        yield OurImages(mounts, command, archive, chains)


@pytest.fixture(scope="package")
def engine(folder: Path, ours: OurImages) -> Iterator[DockerEngine]:
    with docker_engine(folder) as running:
        running.run("load", "-i", str(ours.archive))
        yield running


@pytest.fixture(scope="package")
def podman(folder: Path, ours: OurImages) -> Iterator[Podman]:
    with podman_store(folder) as made:
        made.load(ours.archive)
        yield made


def _base(store: Store) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(rootfs_tar())
        file.seek(0)
        return store.import_layer(file.fileno()).diff_id


def _edited(
    mounts: TreeMounts, chain: tuple[str, ...], edit: rich_tree.Edit, *, adopt: bool
) -> tuple[str, ...]:
    with mounts.mounted(chain) as mount:
        edit(mount.merged)
    return (*chain, mounts.layer(chain, mount, adopt=adopt).diff_id)


def _tag(store: Store, name: str, chain: tuple[str, ...]) -> None:
    config = ImageConfig(
        architecture=host_platform().architecture,
        os="linux",
        config=RuntimeConfig(env=("PATH=/bin",), cmd=("sh",)),
        diff_ids=chain,
        history=tuple(HistoryEntry(created_by=layer) for layer in chain),
    )
    catalog = ImageCatalog(store)
    catalog.tag(catalog.create(config).id, name)
