"""Processes in the foreground by our own core: one child for all, which forks for each.

The child is a fresh interpreter with one thread, since namespaces can only be entered by such a
process; it loads the core alone. Whatever it started dies when this process does: each process
has a supervisor that waits for our end of its connection to be closed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastlayer.container.drivers import task
from fastlayer.container.drivers.failure import not_started
from fastlayer.container.drivers.foreground import Streams
from fastlayer.errors import ContainerError
from fastlayer.store import CORE_PATH, MountNamespace

LOADER = """\
import os, sys
from importlib import machinery, util
loader = machinery.ExtensionFileLoader("_core", sys.argv[1])
core = util.module_from_spec(util.spec_from_file_location("_core", sys.argv[1], loader=loader))
loader.exec_module(core)
"""
"""Code of a child that loads the core from the path that is its first argument, and no package."""

_SERVE = LOADER + "core.serve_sandbox(0)\nos._exit(0)\n"
_KILLED = 137
_MESSAGE_BYTES = 8192
_HEAD = struct.Struct("<ci")


def interpreter(code: str, *arguments: str) -> list[bytes]:
    """The command of a child that runs code with the core: no site packages, no environment."""
    words = [sys.executable, "-I", "-S", "-c", code, str(CORE_PATH), *arguments]
    return [os.fsencode(word) for word in words]


def child_environment() -> list[bytes]:
    """What the interpreter itself may need to start."""
    library_path = os.environ.get("LD_LIBRARY_PATH")
    return [f"LD_LIBRARY_PATH={library_path}".encode()] if library_path else []


class SandboxLauncher:
    """See :class:`fastlayer.container.drivers.foreground.Launcher`.

    The child starts at once, so that it is ready when the first root is mounted.

    Parameters
    ----------
    namespace:
        Where the roots are mounted; ``None`` makes no namespaces for processes either, and only
        changes their root.
    """

    def __init__(self, namespace: MountNamespace | None) -> None:
        self._root_only = namespace is None
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(os.devnull, "wb") as null:
            if namespace is None:
                self._pid = _spawn(theirs.fileno(), null.fileno())
            else:
                self._pid = namespace.spawn(
                    interpreter(_SERVE),
                    env=child_environment(),
                    cwd="/",
                    stdin=theirs.fileno(),
                    stdout=null.fileno(),
                    stderr=2,
                )
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self, bundle: Path, container_id: str, config: dict[str, Any], streams: Streams
    ) -> SandboxProcess:
        """See :class:`fastlayer.container.drivers.foreground.Launcher`."""
        message = task.encode(config, reaper=not self._root_only, root_only=self._root_only)
        return self.send(message, streams)

    def start_first(self, config: dict[str, Any], streams: Streams) -> SandboxProcess:
        """Start a process that is the first of its namespace, as a container's is."""
        return self.send(task.encode(config, reaper=False), streams)

    def start_beside(self, pid: int, config: dict[str, Any], streams: Streams) -> SandboxProcess:
        """Start a process in the namespaces of another one."""
        return self.send(task.encode(config, reaper=False, beside=pid), streams)

    def send(self, message: bytes, streams: Streams) -> SandboxProcess:
        """Start the process of a message.

        Raises
        ------
        ContainerError
            The sandbox's own process is gone.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        description = os.memfd_create("task", os.MFD_CLOEXEC)
        try:
            with theirs, open(description, "wb", closefd=False) as file:
                file.write(message)
                file.flush()
                socket.send_fds(self._socket, [b"T"], [description, *streams, theirs.fileno()])
        except OSError as error:
            ours.close()
            raise ContainerError(
                f"the sandbox's process does not answer: {error.strerror}"
            ) from error
        finally:
            os.close(description)
        return SandboxProcess(ours)

    def let_go(self) -> None:
        """Give up our end of the child, in a copy of the process that made it."""
        self._socket.close()

    def close(self) -> None:
        """See :class:`fastlayer.container.drivers.foreground.Launcher`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _spawn(stdin: int, stdout: int) -> int:
    """The child, as this process's own; gives its pid."""
    environment = dict(text.split(b"=", 1) for text in child_environment())
    words = interpreter(_SERVE)
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawn(words[0], words, environment, file_actions=actions, setsid=True)


class SandboxProcess:
    """See :class:`fastlayer.container.drivers.foreground.Running`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def terminal(self, prepare: Callable[[int], None]) -> int:
        """Wait for the terminal of a process that has one; gives its other side, the caller's to
        close. The process waits until ``prepare`` has been called with it.

        Raises
        ------
        ContainerError
            It could not be started; ``exit_code`` is docker's for the reason.
        """
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._connection, _MESSAGE_BYTES, 1)
        except OSError:
            packet, descriptors = b"", []
        if not descriptors:
            self._understand(packet)
            self._close()
            raise not_started("its sandbox was killed", _KILLED)
        os.set_inheritable(descriptors[0], False)
        prepare(descriptors[0])
        self.signal(0)
        return descriptors[0]

    def started(self) -> int:
        """Wait until it runs; gives its id.

        Raises
        ------
        ContainerError
            It could not be started; ``exit_code`` is docker's for the reason.
        """
        letter, number = self._hear()
        if letter != b"S":
            self._close()
            raise not_started("its sandbox was killed", _KILLED)
        return number

    def wait(self) -> int:
        """See :class:`fastlayer.container.drivers.foreground.Running`."""
        while True:
            letter, number = self._hear()
            if letter != b"S":
                self._close()
                return number if letter == b"X" else _KILLED

    def _hear(self) -> tuple[bytes, int]:
        """The next message: its letter, none where the connection ended, and its number."""
        try:
            packet = self._connection.recv(_MESSAGE_BYTES)
        except OSError:
            packet = b""  # killed: its end of the connection went away unread
        return self._understand(packet)

    def _understand(self, packet: bytes) -> tuple[bytes, int]:
        if not packet:
            return b"", 0
        letter, number = _HEAD.unpack_from(packet)
        if letter == b"F":
            text = packet[_HEAD.size :].decode("utf-8", "replace")
            self._close()
            raise not_started(text, number)
        return letter, number

    def fileno(self) -> int:
        """The connection to its supervisor; after :meth:`started` it can be read at the end."""
        return self._connection.fileno()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.send(struct.pack("<i", number))

    def kill(self) -> None:
        """See :class:`fastlayer.container.drivers.foreground.Running`."""
        with self._lock, contextlib.suppress(OSError):
            # The supervisor sees the end of our side; we still see its last words.
            self._connection.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        with self._lock:
            self._connection.close()
