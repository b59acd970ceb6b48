"""A disk that fails to read or to write: an error says so, and the store is as it was.

The disk is a loop device. Its file is sparse and lies where no room is left, so that writing to a
block for the first time fails with EIO, as on a thin volume whose pool is full; or it was cut
short, so that reading fails.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.failure import Failure
from tests.support.file_system import LoopFileSystem, loop_file_system, mounted, place
from tests.support.requirements import need_program
from tests.support.store_state import StoreState
from tests.support.workload import Workload, names

SIZE = 96 << 20
PATIENCE = 30.0
"""Seconds until a file system that was unmounted must be free."""
POOL = 96 << 20
"""Bytes of the disk, and of the memory that its file has."""


@contextmanager
def no_room_below(disk: LoopFileSystem) -> Iterator[None]:
    """Every first write to a block of the disk fails meanwhile."""
    ballast = disk.image.with_name("ballast")
    with ballast.open("wb") as file:
        status = os.statvfs(disk.image.parent)
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize)
    yield
    ballast.unlink()


def wait_until_it_is_let_go(disk: LoopFileSystem) -> None:
    """A mount namespace that somebody made meanwhile keeps the file system as it is."""
    end = time.monotonic() + PATIENCE
    while subprocess.run(["losetup", "-j", disk.image], check=True, capture_output=True).stdout:
        assert time.monotonic() < end, f"{disk.image} is still in use"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "operation",
    [
        "import",
        "build",
        pytest.param("commit", marks=pytest.mark.long),
        pytest.param("load", marks=pytest.mark.long),
    ],
)
def test_a_disk_that_fails_to_write(tmp_path: Path, operation: str) -> None:
    with place("tmpfs", tmp_path, POOL) as pool, loop_file_system(pool, size=SIZE) as disk:
        command = busybox_store(disk.mount)
        turn = Workload(command, tmp_path / "work", seed=5).turn(operation)
        before = StoreState.of(command.root)
        subprocess.run(["sync", "-f", disk.mount], check=True)
        with no_room_below(disk):
            failure = Failure.of(command.run(*turn.argv, check=False))
        # The kernel tells of a block that could not be written what the pool said, or EIO; and of a
        # file system that has given up, that it is read-only.
        said = ("Input/output error", "No space left on device", "Read-only file system")
        assert any(text in failure.error for text in said), failure.error
        assert "fsck" in failure.hint or "free space" in failure.hint
        # Once there is room, and the file system was mounted again, all goes on.
        subprocess.run(["umount", disk.mount], check=True)
        wait_until_it_is_let_go(disk)
        subprocess.run(["fsck.ext4", "-p", disk.image], check=False, capture_output=True)
        with mounted(disk.image, disk.mount, disk.kind):
            before.assert_same(StoreState.of(command.root), more_layers=True)
            command.run(*turn.argv)
            assert turn.name in names(command)
            StoreState.of(command.root)
            remove_containers(command)


def test_a_disk_that_fails_to_read(tmp_path: Path) -> None:
    """What cannot be read is named; the rest of the store is of use."""
    with loop_file_system(tmp_path / "loop", size=SIZE) as disk:
        command = busybox_store(disk.mount)
        archive = tmp_path / "layer.tar"
        archive.write_bytes(Workload(command, tmp_path / "work", seed=6).tar(300))
        others = objects(command.root)
        command.run("import", archive, "lost")
        before = StoreState.of(command.root)
        with cut_short(disk, objects(command.root) - others):
            saved = tmp_path / "saved.tar"
            failure = Failure.of(command.run("save", "-o", saved, "lost", check=False))
            # Where the disk was written to behind its end, it is longer again, and reads as zeros.
            assert "Input/output error" in failure.error or "digest" in failure.error
            assert "fsck" in failure.hint
            assert not saved.exists()
            done = command.run("fsck", check=False)
            assert done.returncode == 1
            assert b"object " in done.stdout
            assert command.text("cat", "base:/etc/passwd")
            assert "lost" in names(command)
        before.assert_same(StoreState.of(command.root))
        command.run("save", "-o", saved, "lost")


def objects(root: Path) -> set[Path]:
    return {path for path in (root / "objects").rglob("*") if path.is_file()}


def end_of(files: set[Path]) -> int:
    """Where on the disk the last piece of the files begins; bytes."""
    done = subprocess.run(
        [need_program("filefrag"), "-b1", "-v", *files],
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [line.split(":") for line in done.stdout.splitlines() if ".." in line]
    return max(int(row[2].split("..")[0]) for row in rows)


@contextmanager
def cut_short(disk: LoopFileSystem, files: set[Path]) -> Iterator[None]:
    """The last of the files cannot be read meanwhile: the disk ends before it. What else lies there
    is in memory."""
    subprocess.run(["sync", "-f", disk.mount], check=True)
    length = end_of(files)
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with disk.image.open("r+b") as image:
        image.seek(length)
        rest = image.read()
        image.truncate(length)
        yield
        image.seek(length)
        image.write(rest)
