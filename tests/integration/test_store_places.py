"""Stores on file systems that lack something: read-only, without links, in memory, stacked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.base import write_rootfs_tar
from tests.support.busybox_store import busybox_store
from tests.support.command import Command
from tests.support.failure import Failure
from tests.support.file_system import loop_file_system, place
from tests.support.requirements import need_core, need_root
from tests.support.store_state import StoreState, assert_no_leftovers

DOCKERFILE = b"FROM base\nRUN echo built > /built && rm /etc/group && ln /built /linked\n"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs"])
def test_everything_works_there(tmp_path: Path, kind: str) -> None:
    with place(kind, tmp_path) as folder:
        command = busybox_store(folder)
        command.run("build", "-t", "built", "-", stdin=DOCKERFILE)
        assert command.text("run", "--rm", "built", "cat", "/linked") == "built"
        command.run("run", "--name", "box", "built", "sh", "-c", "echo more >> /built")
        command.run("commit", "box", "made")
        assert command.text("run", "--rm", "made", "cat", "/built") == "built\nmore"
        command.run("rm", "box")
        StoreState.of(command.root)
        assert_no_leftovers(command.root)


def test_a_store_on_overlay_holds_images_and_builds(tmp_path: Path) -> None:
    """Overlay is no upper for another overlay: builds lay trees out, containers say why not."""
    need_core()
    with place("overlay", tmp_path) as folder:
        command = busybox_store(folder)
        copied = b"FROM base\nCOPY --from=base /bin/busybox /copied\nWORKDIR /made\n"
        command.run("build", "-t", "copied", "-", stdin=copied)
        assert command.text("cat", "copied:/etc/passwd").startswith("root:")
        saved = command.run("save", "copied").stdout
        command.run("rmi", "copied")
        command.run("builder", "prune", "-f")
        command.run("load", stdin=saved)
        command.run("build", "-q", "-t", "built", "-", stdin=DOCKERFILE)
        assert command.text("cat", "built:/built") == "built"
        assert_no_leftovers(command.root)
        before = StoreState.of(command.root)
        failure = Failure.of(command.run("run", "--rm", "copied", "true", check=False))
        assert "overlay" in failure.error
        assert "--root" in failure.hint
        before.assert_same(StoreState.of(command.root), more_layers=True)
        assert_no_leftovers(command.root)


def test_c17_a_store_without_links_copies_and_says_that_it_cannot_run(tmp_path: Path) -> None:
    """FAT has no links, attributes or nameless files: layers go in, but no overlay holds."""
    need_core()
    need_root()
    with place("exfat", tmp_path) as folder:
        command = busybox_store(folder)
        copied = b"FROM base\nCOPY <<A /copied\nbytes\nA\n"
        command.run("build", "-q", "-t", "copied", "-", stdin=copied)
        assert command.text("cat", "copied:/copied") == "bytes"
        command.run("fsck")
        before = StoreState.of(command.root)
        done = command.run("build", "-q", "-", check=False, stdin=b"FROM copied\nRUN true\n")
        failure = Failure.of(done)
        assert str(folder) in failure.error
        assert "--root" in failure.hint
        before.assert_same(StoreState.of(command.root), more_layers=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("images",),
        ("import", "base.tar", "again"),
        ("build", "-"),
        ("save", "-o", "saved.tar", "base"),
        ("builder", "prune", "-f"),
        ("fsck",),
    ],
)
def test_a_read_only_store(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    need_core()
    write_rootfs_tar(tmp_path / "base.tar")
    with loop_file_system(tmp_path / "loop", size=64 << 20) as system:
        command = busybox_store(system.mount)
        before = StoreState.of(command.root)
        system.remount("ro")
        done = command.run(*arguments, check=False, stdin=DOCKERFILE, cwd=tmp_path)
        failure = Failure.of(done)
        assert failure.error == f"store {command.root}: its file system is read-only"
        assert failure.hint == "name another store with --root or $FASTLAYER_ROOT"
        assert not (tmp_path / "saved.tar").exists()
        system.remount("rw")
        before.assert_same(StoreState.of(command.root))


def test_a_place_where_no_store_can_be_made(tmp_path: Path) -> None:
    need_core()
    with loop_file_system(tmp_path / "loop", size=16 << 20) as system:
        system.remount("ro")
        failure = Failure.of(Command(system.mount / "store").run("images", check=False))
        assert f"{system.mount}/store" in failure.error
        assert "--root" in failure.hint
