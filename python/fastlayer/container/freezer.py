"""Stops all processes of a container in our own sandbox for a while: it has no group to freeze.

Each gets a signal that it cannot catch, the processes that come up meanwhile too, until there are
no more. Those that were stopped before stay so afterwards. A parent that waits for its children's
state can see it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from fastlayer.errors import ContainerError

_PROCESSES = Path("/proc")
_STOPPED = frozenset("Tt")
_GONE = frozenset("ZX")
_LOOK_SECONDS = 0.002
_PATIENCE_SECONDS = 10.0
"""How long a process may take to stop: one that waits for a disk does so later."""


@contextlib.contextmanager
def frozen(first: int) -> Iterator[None]:
    """Keep a container's processes stopped; ``first`` is the first process of its namespace.

    Raises
    ------
    ContainerError
        They are another user's, or do not stop.
    """
    stopped: dict[int, int] = {}
    try:
        _stop_all(first, stopped)
        yield
    finally:
        for descriptor in stopped.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGCONT)
            os.close(descriptor)


def _stop_all(first: int, stopped: dict[int, int]) -> None:
    """Stop all; ``stopped`` gets those that ran, and a descriptor of each."""
    seen: set[int] = set()
    try:
        namespace = os.readlink(_PROCESSES / str(first) / "ns/pid")
        if namespace == os.readlink(_PROCESSES / "self/ns/pid"):
            raise ProcessLookupError  # the number is another process's by now, of the machine's own
        while new := _processes(namespace) - seen:
            for process in sorted(new):
                _stop(process, stopped)
            seen |= new
    except PermissionError as error:
        raise ContainerError(
            "the processes of this container cannot be stopped by this user",
            hint="stop the container first, or commit it as it runs with --no-pause",
        ) from error
    except ProcessLookupError as error:
        raise ContainerError("the container has just ended", hint="commit it again") from error


def _processes(namespace: str) -> set[int]:
    found = set()
    for entry in _PROCESSES.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if os.readlink(entry / "ns/pid") == namespace:
                    found.add(int(entry.name))
    return found


def _stop(process: int, stopped: dict[int, int]) -> None:
    if _state(process) in _STOPPED | _GONE:
        return
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return
    stopped[process] = descriptor
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGSTOP)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _state(process) not in _STOPPED | _GONE:
        if time.monotonic() > deadline:
            raise ContainerError(
                f"process {process} of the container does not stop",
                hint="commit it as it runs with --no-pause",
            )
        time.sleep(_LOOK_SECONDS)


def _state(process: int) -> str:
    """The letter of its state; that of an ended one where it is gone."""
    try:
        status = (_PROCESSES / str(process) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return status.rpartition(") ")[2][:1]
