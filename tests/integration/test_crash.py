"""Processes that are killed, and machines that lose power, at random moments.

Each turn prepares an operation, starts it, and kills it (SIGKILL) at a moment drawn from its whole
length. Then every image that was reported done before must be there to the last byte, nothing
half-written may be seen, and the same operation must just work. For power loss the disk is copied
at that moment (what the kernel has not written is lost), mounted elsewhere, and opened with another
sync token, as after a new start of the machine.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.file_system import SMALLEST_XFS, LoopFileSystem, loop_file_system, mounted
from tests.support.store_state import StoreState, assert_no_leftovers
from tests.support.workload import OPERATIONS, Turn, Workload, contents

SEED = int(os.environ.get("FASTLAYER_SEED", "20261125"))
KILLS = {"ext4": 4, "xfs": 3}
"""Kills of each of the six operations: 42 in all."""
LONG_KILLS = 50
"""The same in the long test, on each file system: 600 in all."""
POWER_LOSSES = {"ext4": 1, "xfs": 1}
LONG_POWER_LOSSES = 20
SIZE = {"ext4": 384 << 20, "xfs": max(384 << 20, SMALLEST_XFS)}
KEPT = 3
"""Images of earlier turns that stay in the store."""


@dataclass
class Crashes:
    """A store that is hit again and again, and what it must not lose.

    Parameters
    ----------
    system, command, workload:
        The disk, the store on it, and what is done with it.
    dice:
        Draws the moments.
    done:
        Images that were reported done, and what their bytes hash to.
    lengths:
        Seconds that each operation takes.
    """

    system: LoopFileSystem
    command: Command
    workload: Workload
    dice: random.Random
    done: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, float] = field(default_factory=dict)

    def measure(self) -> None:
        """Do each operation once, to learn how long it takes."""
        self.command.run("tag", "base", "kept")
        self.done.update(contents(self.command.root))
        for operation in OPERATIONS:
            self.complete(self.workload.turn(operation))

    def complete(self, turn: Turn) -> None:
        """Do an operation to its end, and note what it made."""
        begun = time.monotonic()
        self.command.run(*turn.argv)
        self.lengths.setdefault(turn.operation, time.monotonic() - begun)
        if turn.name:
            self.done[turn.name] = contents(self.command.root)[turn.name]

    def start(self, turn: Turn) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command.argv(*turn.argv),
            env=self.command.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def moment(self, operation: str, number: int, of: int) -> float:
        """Seconds from the start: one of ``of`` equal parts of the operation's length."""
        return (number + self.dice.random()) / of * self.lengths[operation] * 1.05

    def kill(self, turn: Turn, after: float) -> bool:
        """Start an operation and kill it; tells whether it had been reported done."""
        process = self.start(turn)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.send_signal(signal.SIGKILL)
        return process.wait() == 0

    def check(self, command: Command, turn: Turn, *, finished: bool) -> None:
        """Assert that nothing is lost, and nothing half-made is seen."""
        StoreState.of(command.root)
        there = contents(command.root)
        assert self.done.items() <= there.items()
        assert set(there) - set(self.done) <= {turn.name}
        assert turn.name in there or not turn.name or not finished

    def forget(self) -> None:
        """Remove the oldest images, so that the store does not grow without end."""
        ours = [name for name in self.done if name not in {"base", "kept"}]
        for name in ours[:-KEPT]:
            self.command.run("rmi", name)
            del self.done[name]
        # What was killed when it was done, and done again, left an image without a name.
        self.command.run("image", "prune", "-f")
        remove_containers(self.command)


@pytest.fixture
def crashes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crashes]:
    kind = str(request.param)
    with fast_folder(tmp_path) as folder, loop_file_system(folder, kind, SIZE[kind]) as system:
        command = busybox_store(system.mount)
        workload = Workload(command, tmp_path / "work", SEED)
        crashes = Crashes(system, command, workload, random.Random(SEED))
        crashes.measure()
        yield crashes
        remove_containers(command)


@contextlib.contextmanager
def fast_folder(otherwise: Path) -> Iterator[Path]:
    """A place for disks in memory, where there is room: each sync is real, and none of it waits."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < 4 << 30:
        yield otherwise / "loop"
        return
    with tempfile.TemporaryDirectory(prefix="fastlayer-", dir=memory) as folder:
        yield Path(folder)


both = pytest.mark.parametrize("crashes", ["ext4", "xfs"], indirect=True)


def hit(crashes: Crashes, kills: int) -> None:
    for number in range(kills):
        for operation in OPERATIONS:
            turn = crashes.workload.turn(operation)
            finished = crashes.kill(turn, crashes.moment(operation, number, kills))
            assert_no_leftovers(crashes.command.root)
            crashes.check(crashes.command, turn, finished=finished)
            crashes.complete(turn)
            if turn.output is not None:
                turn.output.unlink()
        crashes.forget()


@pytest.mark.timeout(900)
@both
def test_g2_kills(crashes: Crashes) -> None:
    hit(crashes, KILLS[crashes.system.kind])


@pytest.mark.long
@pytest.mark.timeout(7200)
@both
def test_many_kills(crashes: Crashes) -> None:
    hit(crashes, LONG_KILLS)


def lose_power(crashes: Crashes, times: int) -> None:
    """Copy the disk in the middle of operations, and right after they were reported done."""
    folder = crashes.system.image.parent
    for number in range(times):
        for operation in OPERATIONS:
            turn = crashes.workload.turn(operation)
            if (number + len(turn.operation)) % 2:
                crashes.complete(turn)
                finished = True
            else:
                finished = crashes.kill(turn, crashes.moment(operation, number, times))
            copy = crashes.system.copy(folder / "copy.image")
            with mounted(copy, folder / "copy", crashes.system.kind) as restored:
                root = restored.mount / "store"
                command = Command(root, {"FASTLAYER_SYNC_TOKEN": f"start-{number}"})
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("FASTLAYER_SYNC_TOKEN", f"start-{number}")
                    crashes.check(command, turn, finished=finished)
                command.run("builder", "prune", "-f")
                command.run("run", "--rm", "kept", "true")
            copy.unlink()
            if not finished:
                crashes.complete(turn)
            elif turn.name:
                crashes.done[turn.name] = contents(crashes.command.root)[turn.name]
            if turn.output is not None:
                turn.output.unlink()
        crashes.forget()


@pytest.mark.timeout(900)
@both
def test_g1_power_losses(crashes: Crashes) -> None:
    lose_power(crashes, POWER_LOSSES[crashes.system.kind])


@pytest.mark.long
@pytest.mark.timeout(7200)
@both
def test_many_power_losses(crashes: Crashes) -> None:
    lose_power(crashes, LONG_POWER_LOSSES)


@both
def test_power_loss_in_a_commit_keeps_the_container(crashes: Crashes) -> None:
    """What a stopped container wrote, and was on disk, is there after a commit that was cut."""
    folder = crashes.system.image.parent
    command = crashes.command
    for number, moment in enumerate(("diff_upper", "sync", "put_document")):
        name = f"cut{number}"
        command.run("run", "--name", name, "base", "sh", "-c", "cp /bin/busybox /mine")
        subprocess.run(["sync", "-f", crashes.system.mount], check=True)
        die = f"""
import os
from fastlayer.cli.main import main
from fastlayer.store import Store
original = Store.{moment}
def dying(*arguments, **options):
    original(*arguments, **options)
    os.kill(os.getpid(), 9)
Store.{moment} = dying
main(["--root", {str(command.root)!r}, "commit", {name!r}, "never"])
"""
        program = [command.argv()[0], "-c", die]
        assert subprocess.run(program, env=command.environ(), check=False).returncode == -9
        copy = crashes.system.copy(folder / "copy.image")
        with mounted(copy, folder / "copy", crashes.system.kind) as restored:
            after = Command(restored.mount / "store", {"FASTLAYER_SYNC_TOKEN": name})
            assert after.text("diff", name) == "A /mine"
            after.run("commit", name, "rescued")
            assert after.text("run", "--rm", "rescued", "cmp", "/bin/busybox", "/mine") == ""
            after.run("fsck")
        copy.unlink()
