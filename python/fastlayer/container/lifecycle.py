"""Starts, stops, waits for and removes containers.

The container's lock is taken here and handed to a monitor process, which keeps it for as long
as the container runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fastlayer.container import attach
from fastlayer.container.adoption import finish_adoption
from fastlayer.container.attach import Frame, Kind
from fastlayer.container.document import timestamp
from fastlayer.container.drivers import RUNTIMES, find_driver
from fastlayer.container.drivers.runc import find_runtime
from fastlayer.container.launch import SANDBOX_MARK
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.container.state import ContainerState
from fastlayer.errors import ConflictError, ContainerError, FastlayerError, UsageError
from fastlayer.store import Store

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from fastlayer.container import monitor; "
_BOOT += "monitor.main(sys.argv[2:])"
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0
_LOST_EXIT_CODE = 137
_DEFAULT_STOP_SIGNAL = signal.SIGTERM


class Session:
    """A connection to a running container's monitor, as the command that started it has one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = attach.Decoder()
        self._frames: list[Frame] = []

    def wait_started(self) -> None:
        """Return when the process runs.

        Raises
        ------
        ContainerError
            It could not be started; ``exit_code`` is docker's for the reason.
        """
        for frame in self.frames():
            if frame.kind is Kind.STARTED:
                return
            if frame.kind is Kind.FAILED:
                raise attach.failure(frame.payload)
        raise ContainerError(
            "the container's monitor ended before the container started",
            hint="see monitor.log in the container's directory",
        )

    def frames(self) -> Iterator[Frame]:
        """What the monitor says, until it hangs up."""
        while True:
            while self._frames:
                yield self._frames.pop(0)
            data = self._connection.recv(_CHUNK)
            if not data:
                return
            self._frames = list(self._decoder.feed(data))

    def send(self, frame: bytes) -> bool:
        """Say something; gives whether the monitor is still there to hear it."""
        try:
            self._connection.sendall(frame)
        except OSError:
            return False
        return True

    def shut_down(self) -> None:
        """Hang up while another thread waits in :meth:`frames`: that ends."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up; the container runs on."""
        self._connection.close()


def start(store: Store, container: Container, size: tuple[int, int] | None = None) -> Session:
    """Start a container that does not run; gives the connection to its monitor.

    Parameters
    ----------
    store, container:
        Which one.
    size:
        Rows and columns of its terminal, where it has one.

    Raises
    ------
    ConflictError
        It runs already.
    ContainerError
        It cannot be started.
    RuntimeMissingError
        No runtime works here.
    """
    find_driver(store.root / "runtime")
    lock = container.try_lock()
    if lock is None:
        raise ConflictError(f"container {container.config.name} is already running")
    try:
        recover(store, container)
        finish_adoption(container)
        ours, theirs = socket.socketpair()
        with theirs:
            _spawn_monitor(store, container, lock, theirs.fileno(), size)
    finally:
        os.close(lock)
    session = Session(ours)
    try:
        session.wait_started()
    except BaseException:
        session.close()
        raise
    return session


def current_state(store: Store, container: Container) -> ContainerState:
    """How a container is now. Of one whose monitor was killed the rest is cleaned up first."""
    state = container.state()
    if state.status != "running":
        return state
    lock = container.try_lock()
    if lock is None:
        return state
    try:
        return recover(store, container)
    finally:
        os.close(lock)


def recover(store: Store, container: Container) -> ContainerState:
    """Bring a container whose monitor was killed to an end; the caller holds its lock."""
    state = container.state()
    if state.status != "running":
        return state
    with contextlib.suppress(FastlayerError):
        find_driver(store.root / "runtime").delete(container.identifier, force=True)
    lost = state.exited(_LOST_EXIT_CODE, timestamp(), error="its monitor was killed")
    container.write_state(lost)
    return lost


def wait(store: Store, container: Container, seconds: float | None = None) -> int | None:
    """Wait until a container does not run; gives its exit code, ``None`` if the time is over."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while container.directory.exists() and container.is_running():
        if deadline is not None and time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_SECONDS)
    if not container.directory.exists():
        return 0
    return current_state(store, container).exit_code


def stop(
    store: Store, container: Container, *, seconds: float | None = None, signal_name: str = ""
) -> None:
    """Ask a container's process to end, and kill it when it does not.

    Parameters
    ----------
    store, container:
        Which one; nothing happens where it does not run.
    seconds:
        How long it is given; the container's own time where it is ``None``; for ever where it is
        negative.
    signal_name:
        The signal; the image's STOPSIGNAL or SIGTERM where it is empty.

    Raises
    ------
    ContainerError
        It cannot be killed.
    """
    if current_state(store, container).status != "running":
        return
    name = signal_name or container.config.image_config().config.stop_signal
    number = parse_signal(name) if name else _DEFAULT_STOP_SIGNAL
    patience = float(container.config.stop_timeout) if seconds is None else seconds
    _signal(store, container, number)
    if wait(store, container, None if patience < 0 else patience) is None:
        kill(store, container)


def kill(store: Store, container: Container, number: int = signal.SIGKILL) -> None:
    """Send a signal; after SIGKILL wait until the container is gone.

    Raises
    ------
    ContainerError
        It still runs a while after SIGKILL.
    """
    _signal(store, container, number)
    if number == signal.SIGKILL and wait(store, container, _KILL_SECONDS) is None:
        raise ContainerError(f"container {container.config.name} does not end after SIGKILL")


def remove(store: Store, container: Container, *, force: bool = False) -> None:
    """Remove a container, its writable layer and its own volumes.

    Raises
    ------
    ConflictError
        It runs, and ``force`` is false.
    """
    registry = ContainerRegistry(store.root)
    lock = container.try_lock()
    if lock is None and not force:
        raise ConflictError(
            f"cannot remove container {container.config.name}: it is running",
            hint=f"fastlayer stop {container.config.name} first, or remove it with -f",
        )
    if lock is None:
        kill(store, container)
        if not container.directory.exists():
            return  # it was run with --rm
        lock = container.try_lock()
    if lock is None:
        raise ConflictError(f"container {container.config.name} was started again")
    try:
        recover(store, container)
        registry.remove(container)
    finally:
        os.close(lock)


def parse_signal(text: str) -> int:
    """A signal's number from its name, with or without ``SIG``, or from digits.

    Raises
    ------
    UsageError
        There is no such signal.
    """
    if text.isascii() and text.isdigit():
        number = int(text)
    else:
        name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
        offset = re.fullmatch(r"SIGRT(MIN|MAX)([+-]\d+)", name)
        if offset:
            base = signal.SIGRTMIN if offset[1] == "MIN" else signal.SIGRTMAX
            number = base + int(offset[2])
        else:
            number = getattr(signal.Signals, name, 0)
    if not 1 <= number <= 64:
        raise UsageError(f"invalid signal: {text}", hint="see `kill -l`")
    return int(number)


def _signal(store: Store, container: Container, number: int) -> None:
    try:
        if (container.run / SANDBOX_MARK).exists():
            _ask_monitor(container, attach.encode_numbers(Kind.SIGNAL, number))
        else:
            find_runtime(store.root / "runtime", RUNTIMES).kill(container.identifier, number)
    except ContainerError:
        # It may have ended between the look and the signal.
        if wait_short(container):
            return
        raise


def _ask_monitor(container: Container, frame: bytes) -> None:
    """Say something to the monitor of a container that runs."""
    try:
        directory = os.open(container.run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                # A socket's path is 107 bytes at most.
                connection.connect(f"/proc/self/fd/{directory}/{attach.SOCKET}")
                connection.sendall(frame)
        finally:
            os.close(directory)
    except OSError as error:
        raise ContainerError(
            f"the monitor of container {container.config.name} does not answer: {error.strerror}"
        ) from error


def wait_short(container: Container) -> bool:
    """Whether a container that is about to end does so within a second."""
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        if not container.directory.exists() or not container.is_running():
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _spawn_monitor(
    store: Store, container: Container, lock: int, connection: int, size: tuple[int, int] | None
) -> None:
    rows, columns = size or (0, 0)
    package_parent = Path(__file__).resolve().parents[2]
    argv = [sys.executable, "-I", "-c", _BOOT, str(package_parent), str(store.root)]
    argv += [container.identifier, str(lock), str(connection), str(rows), str(columns)]
    with (container.directory / "monitor.log").open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock, connection),
            start_new_session=True,
            cwd="/",
        )
        process.wait()  # it forks at once: the monitor is nobody's child
