"""Commands that meet at their worst moments, each brought about: by a kill, a full pipe, a hook.

What can be brought about inside one process, by its locks, is in ``rust/store/tests/races.rs``.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastlayer import Store
from fastlayer.container import creation
from fastlayer.container.creation import CreateRequest
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import NotFoundError
from fastlayer.image.catalog import ImageCatalog

from tests.integration.building import Workshop
from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.store_state import assert_no_leftovers

TAKE_IN = """
import os, sys
from fastlayer import Store
store = Store(sys.argv[1])
with store.lease():
    made = store.empty_layer()
    print(made.diff_id, flush=True)
    store.import_blob(0, digest=sys.argv[2])
"""


@pytest.fixture
def fastlayer(tmp_path: Path) -> Iterator[Command]:
    command = busybox_store(tmp_path)
    yield command
    remove_containers(command)


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def tar_of(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = size
        archive.addfile(member, io.BytesIO(bytes(range(256)) * (size // 256)))
    return buffer.getvalue()


def test_a_process_that_is_killed_with_a_lease_and_locks_is_in_nobodys_way(tmp_path: Path) -> None:
    """What it had begun is done by the next one; what its lease named goes."""
    store = Store(tmp_path / "store")
    blob = tar_of(1 << 20)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    with subprocess.Popen(
        [sys.executable, "-c", TAKE_IN, str(store.root), digest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as victim:
        assert victim.stdin is not None
        assert victim.stdout is not None
        leased = victim.stdout.readline().decode().strip()
        # All but the end of the blob, so that it is in the middle for sure.
        victim.stdin.write(blob[:-1024])
        victim.stdin.flush()
        flight = store.root / "locks" / f"blob-{digest.removeprefix('sha256:')}"
        while not (is_locked(flight) and is_locked(store.root / "locks" / "writers")):
            assert victim.poll() is None
            time.sleep(0.005)
        assert leased not in store.collect(list, dry_run=True).layers
        victim.send_signal(signal.SIGKILL)
    assert not is_locked(flight)
    path = tmp_path / "blob"
    path.write_bytes(blob)
    with path.open("rb") as whole:
        made = store.import_blob(whole.fileno(), digest=digest)
    assert made.diff_id == digest
    collected = store.collect(lambda: [made.diff_id])
    assert collected.layers == [leased]
    assert not list((store.root / "locks" / "leases").iterdir())
    assert store.layers() == [made.diff_id]
    assert not store.fsck()
    assert_no_leftovers(store.root)


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_what_is_saved_can_be_removed_and_pruned_meanwhile(
    workshop: Workshop, tmp_path: Path, codec: str
) -> None:
    """The archive is whole: the save stands before a full pipe while all else goes."""
    workshop.write({"large": os.urandom(4 << 20)})
    workshop.build("FROM busybox\nCOPY large /large\n", tags="site")
    command = workshop.command()
    argv = command.argv("save", "--compression", codec, "site")
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        head = saving.stdout.read(1)
        command.run("rmi", "site", "busybox")
        command.run("builder", "prune", "-af")
        assert command.text("images", "-q") == ""
        archive = head + saving.stdout.read()
    assert saving.returncode == 0
    (tmp_path / "saved.tar").write_bytes(archive)
    other = Command(tmp_path / "other")
    other.run("load", "-i", tmp_path / "saved.tar")
    assert other.run("cat", "site:/large").stdout == (workshop.context / "large").read_bytes()
    command.run("builder", "prune", "-af")
    assert workshop.store.layers() == []
    command.run("fsck")


def test_a_container_of_an_image_that_has_just_gone_is_refused(fastlayer: Command) -> None:
    """Its image was read, and then removed and collected: nothing is left of the attempt."""
    store = Store(fastlayer.root)
    image = ImageCatalog(store).resolve("base")
    fastlayer.run("rmi", "base")
    fastlayer.run("builder", "prune", "-af")
    with pytest.raises(NotFoundError):
        creation.create(store, image, CreateRequest(image_name="base", command=("true",)))
    assert fastlayer.text("ps", "-aq") == ""
    assert_no_leftovers(fastlayer.root)


def test_a_container_keeps_its_image_from_the_first_moment(
    fastlayer: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image goes when the container is nearly made: the lease holds until it is a root."""
    store = Store(fastlayer.root)
    image = ImageCatalog(store).resolve("base")
    publish = ContainerRegistry.publish

    def publish_late(registry: ContainerRegistry, container: object) -> object:
        fastlayer.run("rmi", "base")
        fastlayer.run("builder", "prune", "-af")
        return publish(registry, container)  # type: ignore[arg-type]

    monkeypatch.setattr(ContainerRegistry, "publish", publish_late)
    request = CreateRequest(image_name="base", name="kept", command=("echo", "all there"))
    creation.create(store, image, request)
    monkeypatch.undo()
    fastlayer.run("builder", "prune", "-af")
    assert fastlayer.run("start", "-a", "kept").stdout == b"all there\n"
    fastlayer.run("fsck")
