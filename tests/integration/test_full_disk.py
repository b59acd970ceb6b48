"""A disk that becomes full: the error says so, nothing is lost, and with space it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.failure import Failure
from tests.support.file_system import LoopFileSystem, loop_file_system
from tests.support.store_state import StoreState, assert_no_leftovers, staging
from tests.support.workload import Workload, names

SIZE = 96 << 20
"""Bytes of the small disk."""
LEFT = (0, 64 << 10, 2 << 20)
"""Bytes that are free when an operation starts: it gets less far or farther."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopFileSystem]:
    with loop_file_system(tmp_path / "loop", size=SIZE) as system:
        yield system


@pytest.fixture
def fastlayer(disk: LoopFileSystem) -> Iterator[Command]:
    command = busybox_store(disk.mount)
    command.run("tag", "base", "kept")
    yield command
    remove_containers(command)


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("operation", ["import", "build", "commit", "save", "load"])
def test_an_operation_that_fills_the_disk(
    fastlayer: Command, disk: LoopFileSystem, tmp_path: Path, operation: str, left: int
) -> None:
    turn = Workload(fastlayer, tmp_path / "work", seed=left).turn(operation)
    if turn.output is not None:
        turn = replace(turn, output=disk.mount / "saved.tar")
        turn = replace(turn, argv=("save", "-o", str(turn.output), "kept"))
    before = StoreState.of(fastlayer.root)
    ballast = disk.fill(left)
    done = fastlayer.run(*turn.argv, check=False)
    if operation == "save" and done.returncode == 0:
        assert left > 1 << 20
        return
    failure = Failure.of(done)
    assert failure.code == 1
    assert "No space left on device" in failure.error
    assert "free space" in failure.hint
    assert_no_leftovers(fastlayer.root)
    assert staging(fastlayer.root) == []
    before.assert_same(StoreState.of(fastlayer.root), more_layers=True)
    assert turn.output is None or not turn.output.exists()
    assert fastlayer.text("cat", "kept:/etc/passwd"), "a full store can be read"
    ballast.unlink()
    fastlayer.run(*turn.argv)
    assert not turn.name or turn.name in names(fastlayer)
    StoreState.of(fastlayer.root)


def test_pruning_frees_a_full_disk(
    fastlayer: Command, disk: LoopFileSystem, tmp_path: Path
) -> None:
    workload = Workload(fastlayer, tmp_path / "work", seed=7)
    fastlayer.run(*workload.turn("import").argv)
    fastlayer.run("rmi", "import1")
    disk.fill(0)
    assert disk.free() < 1 << 20
    fastlayer.run("builder", "prune", "-f")
    assert disk.free() > 3 << 20
    StoreState.of(fastlayer.root)
    again = tmp_path / "Dockerfile"
    again.write_text("FROM base\nRUN head -c 1000000 /dev/urandom > /made\n")
    fastlayer.run("build", "-q", "-t", "again", tmp_path)
    assert "again" in names(fastlayer)


def test_pruning_a_cache_mount_frees_a_full_disk(
    fastlayer: Command, disk: LoopFileSystem, tmp_path: Path
) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "FROM base\nRUN --mount=type=cache,target=/c head -c 9000000 /dev/urandom > /c/kept\n"
        "RUN --mount=type=cache,target=/c cat /dev/zero > /c/more\n"
    )
    failure = Failure.of(fastlayer.run("build", "-q", tmp_path, check=False))
    assert "No space left on device" in failure.before
    assert disk.free() < 1 << 20
    words = ("builder", "prune", "--filter", "type=exec.cachemount")
    size = disk.free()
    told = fastlayer.text(*words, "-f").splitlines()[-1]
    assert told.startswith("Total reclaimed space: ")
    assert disk.free() - size > 9 << 20
    dockerfile.write_text("FROM base\nRUN --mount=type=cache,target=/c test ! -e /c/kept\n")
    fastlayer.run("build", "-q", "-t", "again", tmp_path)
    StoreState.of(fastlayer.root)


def test_a_run_that_fills_the_disk(
    fastlayer: Command, disk: LoopFileSystem, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM base\nRUN cat /dev/zero > /big\n")
    before = StoreState.of(fastlayer.root)
    free = disk.free()
    failure = Failure.of(fastlayer.run("build", context, check=False))
    assert failure.error == "Dockerfile:2: RUN cat /dev/zero > /big: exit code 1"
    assert "No space left on device" in failure.before
    before.assert_same(StoreState.of(fastlayer.root), more_layers=True)
    fastlayer.run("builder", "prune", "-f")  # what the step left is kept to be looked at
    assert disk.free() > free - (4 << 20)
