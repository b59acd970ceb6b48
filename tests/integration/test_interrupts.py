"""Ctrl-C in the middle of anything: exit code 130, the store as it was, and nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.failure import Failure
from tests.support.store_state import StoreState, assert_no_leftovers, staging
from tests.support.workload import Turn, Workload, names

OPERATIONS = ("import", "build", "commit", "save", "load")
TIMES = 4
"""Interrupts of each operation, at the least one of them before it was over."""
ATTEMPTS = 20


@pytest.fixture
def fastlayer(tmp_path: Path) -> Iterator[Command]:
    command = busybox_store(tmp_path)
    yield command
    remove_containers(command)


def start(command: Command, turn: Turn) -> subprocess.Popen[bytes]:
    """Start an operation in a process group of its own, as a shell does; it has the store open."""
    process = subprocess.Popen(
        command.argv(*turn.argv),
        env=command.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if str(command.root) in open_files(process.pid):
            break
        time.sleep(0.001)
    return process


def open_files(process: int) -> set[str]:
    found = set()
    folder = f"/proc/{process}/fd"
    try:
        for name in os.listdir(folder):
            found.add(os.readlink(f"{folder}/{name}"))
    except OSError:
        pass  # one was closed meanwhile, or the process has ended
    return found


def finish(process: subprocess.Popen[bytes]) -> subprocess.CompletedProcess[bytes]:
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_ctrl_c(fastlayer: Command, tmp_path: Path, operation: str) -> None:
    fastlayer.run("tag", "base", "kept")
    workload = Workload(fastlayer, tmp_path / "work", seed=1)
    dice = random.Random(operation)
    process = start(fastlayer, workload.turn(operation))
    begun = time.monotonic()
    assert finish(process).returncode == 0
    length = time.monotonic() - begun
    interrupted = 0
    for number in range(ATTEMPTS):
        if number >= TIMES and interrupted:
            break
        turn = workload.turn(operation)
        before = StoreState.of(fastlayer.root)
        process = start(fastlayer, turn)
        time.sleep(dice.uniform(number % TIMES, number % TIMES + 1) / TIMES * length)
        os.killpg(process.pid, signal.SIGINT)
        done = finish(process)
        assert_no_leftovers(fastlayer.root)
        assert staging(fastlayer.root) == []
        after = StoreState.of(fastlayer.root)
        if done.returncode == 0:
            length *= 0.8  # it was over before: a later turn finds more of its work done
            continue
        interrupted += 1
        failure = Failure.of(done)
        assert (failure.code, failure.error) == (130, "interrupted")
        written = turn.output.read_bytes() if turn.output and turn.output.exists() else None
        if not turn.name or turn.name not in names(fastlayer):  # else it came after the last step
            assert after.refs == before.refs
        if operation != "commit":
            assert after.containers == before.containers
        assert after.layers >= before.layers
        again = fastlayer.run(*turn.argv)
        assert again.returncode == 0
        if turn.output and written is not None:  # it came after the last step, too
            assert turn.output.read_bytes() == written
        assert not turn.name or turn.name in names(fastlayer)
    assert interrupted
    fastlayer.run("fsck")


def test_ctrl_c_ends_what_a_run_started(fastlayer: Command, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM base\nRUN (trap '' INT TERM; while :; do sleep 1; done) & echo started; sleep 1000\n"
    )
    before = StoreState.of(fastlayer.root)
    process = subprocess.Popen(
        fastlayer.argv("build", "--progress", "plain", context),
        env=fastlayer.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(b"started\n") and b"RUN" not in line:
            break
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - began < 15
    assert rest.endswith(b"error: interrupted\n")
    assert b"Traceback" not in rest
    assert_no_leftovers(fastlayer.root)
    assert staging(fastlayer.root) == []
    before.assert_same(StoreState.of(fastlayer.root))


def test_an_interrupt_that_was_told_of_is_an_exit_code(tmp_path: Path) -> None:
    """CPython remembers Ctrl-C of an executed text, caught or not, and kills itself in the end."""
    (tmp_path / "told.py").write_text(
        "from fastlayer.cli import main\n"
        "def interrupted():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        return 130\n"
        "main.main = interrupted\n"
        "main.entry()\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "told"], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode == 130
