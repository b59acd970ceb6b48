"""What df and prune say, beside ``du`` and what the file system has free afterwards.

On a fresh ext4 of the test's own, with one of each thing in the store: there a block that is
counted twice, or not at all, shows. On XFS, where files share blocks, ``du`` is the measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastlayer import Store
from fastlayer.builder.disk_usage import DiskUsage, measure
from fastlayer.builder.storage import Storage

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.file_system import LoopFileSystem, loop_file_system
from tests.support.full_store import du, full_store, used
from tests.support.store_state import StoreState

SIZE = 400 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopFileSystem]:
    with loop_file_system(tmp_path / "loop", size=SIZE) as system:
        yield system


@pytest.fixture
def full(disk: LoopFileSystem, tmp_path: Path) -> Iterator[Command]:
    command = full_store(disk.mount, tmp_path / "work")
    yield command
    remove_containers(command)


def storage(command: Command) -> Storage:
    return Storage(Store(command.root))


def told(text: str) -> int:
    """The bytes that the last line of a prune's output says."""
    label, _, size = text.splitlines()[-1].partition(": ")
    assert label in {"Total reclaimed space", "Total reclaimable space"}
    if size.endswith(" bytes)"):
        return int(size.split("(")[1].removesuffix(" bytes)"))
    return int(size.removesuffix("B"))


def prune(command: Command, *words: str) -> int:
    """Prune as the words say; gives the bytes said, which were foretold and which the file system
    has given back."""
    foretold = command.text(*words, "--dry-run")
    before = used(command.root)
    text = command.text(*words, "-f")
    assert text.splitlines()[:-1] == foretold.splitlines()[:-1]
    assert told(text) == told(foretold)
    assert before - used(command.root) == told(text)
    assert storage(command).reclaimable().freed == 0
    return told(text)


def assert_df_is_du(full: Command) -> DiskUsage:
    """What is measured of the full store is what is there."""
    usage = measure(storage(full))
    assert usage.total == du(full.root)
    assert sum(usage.places.values()) + full.root.lstat().st_blocks * 512 == usage.total
    text = full.text("system", "df", "-v")
    assert f"({usage.total} bytes)" in text
    for what in ("exec.cachemount", "source.local", "source.http", "cache mount /cache", "box"):
        assert what in text
    assert usage.unreferenced > 100_000, "what killed commands left"
    # A tree deeper than directories are open at a time is counted to its bottom.
    box = next(one for one in usage.containers if one.container.config.name == "box")
    assert box.size == du(box.container.directory) > 300_000
    assert usage.layers_derived > usage.layers_stored / 10
    return usage


def test_what_df_and_prune_say(full: Command) -> None:
    usage = assert_df_is_du(full)
    mount = next(line for line in usage.cache_lines if line.kind == "exec.cachemount")
    freed = prune(full, "builder", "prune", "--filter", "type=exec.cachemount")
    assert freed == mount.size + usage.unreferenced
    loaded = next(
        one for one in measure(storage(full)).images if one.image.tags == ("loaded:latest",)
    )
    before = used(full.root)
    full.run("rmi", "loaded")
    prune(full, "image", "prune")
    assert before - used(full.root) == loaded.reclaimable > 700_000
    assert prune(full, "builder", "prune") > 1_000_000, "frames of saves, and the failed step"
    assert prune(full, "system", "prune") > 1_000_000, "the containers"
    assert prune(full, "system", "prune", "-a") > 5_000_000
    left = measure(storage(full))
    assert left.total == du(full.root) < 512 << 10
    assert left.layers == left.images == left.containers == left.cache_lines == ()
    StoreState.of(full.root)


def test_what_is_linked_is_given_back_with_its_last_name(
    disk: LoopFileSystem, tmp_path: Path
) -> None:
    """A checkout's file is its object: it goes with both, and not while a second image needs it."""
    command = busybox_store(disk.mount)
    (tmp_path / "file").write_bytes(b"x" * 1_000_000)
    for name in ("first", "second"):
        (tmp_path / "Dockerfile").write_text(f"FROM base\nCOPY file /{name}\nRUN true\n")
        command.run("build", "-q", "-t", name, tmp_path)
    command.run("builder", "prune", "-f")
    linked = list((command.root / "checkouts").rglob("first"))
    assert [path.stat().st_nlink for path in linked] == [3], "the object, and two checkouts"
    command.run("rmi", "first")
    assert prune(command, "image", "prune") < 100_000
    command.run("rmi", "second")
    assert prune(command, "image", "prune") > 1_000_000
    remove_containers(command)


@pytest.mark.long
def test_files_that_share_blocks_are_counted_as_du_counts_them(tmp_path: Path) -> None:
    with loop_file_system(tmp_path / "loop", "xfs", SIZE) as system:
        command = full_store(system.mount, tmp_path / "work")
        assert measure(storage(command)).total == du(command.root)
        before = du(command.root)
        foretold = command.text("system", "prune", "-a", "--dry-run")
        text = command.text("system", "prune", "-af")
        assert told(text) == told(foretold)
        # Directories that stay become shorter there, too.
        assert told(text) == pytest.approx(before - du(command.root), abs=64 << 10)
        remove_containers(command)
