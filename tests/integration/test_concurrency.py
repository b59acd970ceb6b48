"""Many processes on one store: nothing is lost, nothing is damaged, and nobody waits for ever."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.store_state import StoreState, assert_no_leftovers
from tests.support.workload import Workload, archive_of, contents

PROCESSES = 16
SECONDS = 30.0
LONG_SECONDS = 300.0
PATIENCE = 180.0
"""Seconds after which a command is held to be dead-locked."""
SEED = int(os.environ.get("FASTLAYER_SEED", "20261125"))
WEIGHTS = {"build": 5, "load": 4, "import": 3, "save": 3, "rmi": 3, "prune": 1, "run": 1, "fsck": 1}


@pytest.fixture
def fastlayer(tmp_path: Path) -> Iterator[Command]:
    command = busybox_store(tmp_path)
    yield command
    remove_containers(command)


@dataclass
class Client:
    """One of the processes' users: it does one thing after the other with images of its own.

    Parameters
    ----------
    command, folder, number:
        The store, a place for inputs, and who it is.
    shared:
        An archive that all clients load.
    """

    command: Command
    folder: Path
    number: int
    shared: Path
    mine: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def work(self, deadline: float) -> None:
        """Work until the deadline; notes whatever fails.

        Who it is says what it does last, so that every kind of work is done however slow all are.
        """
        dice = random.Random(SEED + self.number)
        prefix = f"client{self.number}-"
        workload = Workload(self.command, self.folder, SEED + self.number, prefix)
        kinds = list(WEIGHTS)
        over = False
        while not over and not self.failures:
            over = time.monotonic() >= deadline
            operation = dice.choices(kinds, list(WEIGHTS.values()))[0]
            if over:
                operation = kinds[self.number % len(kinds)]
            try:
                self.do(operation, workload, dice)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                self.failures.append(f"{operation}: {error}")
            self.counts[operation] = self.counts.get(operation, 0) + 1

    def do(self, operation: str, workload: Workload, dice: random.Random) -> None:
        if operation in {"build", "import"} or (operation == "load" and dice.random() < 0.5):
            turn = workload.turn(operation)
            self.call(*turn.argv)
            self.mine.add(turn.name)
        elif operation == "load":
            self.call("load", "-q", "-i", self.shared)
        elif operation == "rmi" and self.mine:
            name = dice.choice(sorted(self.mine))
            self.mine.discard(name)
            self.call("rmi", name)
        elif operation == "prune":
            self.call("builder", "prune", "-f")
        elif operation == "run":
            assert self.call("run", "--rm", "base", "echo", "ok") == b"ok\n"
        elif operation == "fsck":
            self.call("fsck")
        else:
            self.call("save", dice.choice(sorted({*self.mine, "base"})))

    def call(self, *words: str | Path) -> bytes:
        return self.command.run(*words, timeout=PATIENCE).stdout


def crowd(command: Command, folder: Path, seconds: float) -> None:
    shared = folder / "shared.tar"
    maker = Workload(command, folder / "maker", SEED)
    shared.write_bytes(archive_of("shared", maker.tar(), maker.tar()))
    command.run("load", "-i", shared)
    before = contents(command.root)
    clients = [Client(command, folder / f"client{n}", n, shared) for n in range(PROCESSES)]
    for client in clients:
        client.folder.mkdir()
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=client.work, args=(deadline,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failures = [f"client {c.number}: {text}" for c in clients for text in c.failures]
    assert not failures, "\n".join(failures)
    counts = {kind: sum(client.counts.get(kind, 0) for client in clients) for kind in WEIGHTS}
    assert all(counts.values()), f"not every kind of work was done: {counts}"
    StoreState.of(command.root)
    after = contents(command.root)
    assert before.items() <= after.items()
    assert set(after) == set(before) | {name for client in clients for name in client.mine}
    assert_no_leftovers(command.root)
    command.run("builder", "prune", "-f")
    StoreState.of(command.root)
    assert contents(command.root) == after


@pytest.mark.timeout(600)
def test_sixteen_processes(fastlayer: Command, tmp_path: Path) -> None:
    crowd(fastlayer, tmp_path, SECONDS)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_sixteen_processes_for_minutes(fastlayer: Command, tmp_path: Path) -> None:
    crowd(fastlayer, tmp_path, LONG_SECONDS)


def test_g5_two_processes_that_load_the_same_image_do_the_work_once(
    fastlayer: Command, tmp_path: Path
) -> None:
    """The second one waits for the first, and writes no second copy meanwhile."""
    maker = Workload(fastlayer, tmp_path / "maker", SEED)
    (tmp_path / "plain.tar").write_bytes(archive_of("twice", maker.tar(800)))
    other = Command(tmp_path / "other")
    other.run("load", "-i", tmp_path / "plain.tar")
    other.run("save", "--compression", "gzip", "-o", tmp_path / "twice.tar", "twice")
    alone = Command(tmp_path / "alone")
    alone.run("load", "-i", tmp_path / "twice.tar")
    argv = fastlayer.argv("load", "-i", tmp_path / "twice.tar")
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(2)]
    written = {process.pid: 0 for process in both}
    while any(process.poll() is None for process in both):
        for process in both:
            written[process.pid] = max(written[process.pid], bytes_written(process.pid))
        time.sleep(0.002)
    for process in both:
        output, _ = process.communicate()
        assert process.returncode == 0
        assert output == b"Loaded image: twice:latest\n"
    assert contents(fastlayer.root)["twice"] == contents(alone.root)["twice"]
    least, most = sorted(written.values())
    assert least < most / 4, f"both have written: {least} and {most} bytes"
    fastlayer.run("fsck")


def bytes_written(process: int) -> int:
    """Bytes that a living process has handed to the kernel."""
    try:
        text = Path(f"/proc/{process}/io").read_text()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in text.splitlines()).get("wchar", 0))
