"""Starts a container's process: mounts its root, and starts it by a runtime or by our sandbox.

Used by the monitor only, which must be a subreaper: a runtime's process becomes its child.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fastlayer.container import network, rootfs
from fastlayer.container.drivers import BuiltinDriver, Driver
from fastlayer.container.drivers.failure import failure_text, start_failure
from fastlayer.container.drivers.runc import state_directory
from fastlayer.container.drivers.sandbox import SandboxLauncher, SandboxProcess
from fastlayer.container.process import process_spec
from fastlayer.container.registry import Container
from fastlayer.container.spec import ProcessSpec, runtime_config
from fastlayer.errors import ContainerError
from fastlayer.store import MountNamespace, Store

_CONSOLE_SECONDS = 30

SANDBOX_MARK = "sandbox"
"""Name, below a running container's ``run/``, of the file that says that our sandbox runs it."""


class FirstProcess(Protocol):
    """The first process of a container, as its monitor has it."""

    def fileno(self) -> int:
        """A descriptor that can be read when the process has ended; open until :meth:`wait`."""

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens where it has ended."""

    def wait(self) -> int:
        """Reap it; gives its exit code."""


class ChildProcess:
    """One that is our child. See :class:`FirstProcess`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._watch = os.pidfd_open(pid)

    def fileno(self) -> int:
        """See :class:`FirstProcess`."""
        return self._watch

    def signal(self, number: int) -> None:
        """See :class:`FirstProcess`."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._watch, number)

    def wait(self) -> int:
        """See :class:`FirstProcess`."""
        os.close(self._watch)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return 128 - code if code < 0 else code


class SandboxedProcess:
    """One of our own sandbox. See :class:`FirstProcess`."""

    def __init__(self, process: SandboxProcess, launcher: SandboxLauncher) -> None:
        self._process = process
        self._launcher = launcher

    def fileno(self) -> int:
        """See :class:`FirstProcess`."""
        return self._process.fileno()

    def signal(self, number: int) -> None:
        """See :class:`FirstProcess`."""
        self._process.signal(number)

    def wait(self) -> int:
        """See :class:`FirstProcess`."""
        code = self._process.wait()
        self._launcher.close()
        return code


@dataclass(frozen=True, slots=True)
class Launched:
    """A started process. Descriptors are the monitor's ends; ``terminal`` is the pty's master,
    and then there are no pipes.
    """

    pid: int
    root: Path
    process: FirstProcess
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    terminal: int | None = None


def launch(
    store: Store,
    container: Container,
    driver: Driver | BuiltinDriver,
    namespace: MountNamespace,
    size: tuple[int, int] | None,
) -> Launched:
    """Start the process of a container that does not run; ``size`` is rows and columns.

    Raises
    ------
    ContainerError
        It cannot be started; nothing of it is left. ``exit_code`` is docker's for the reason.
    """
    run = container.run
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(mode=0o700)
    asked = container.config
    kind = network.effective_network(asked.network)
    files = network.write_files(run, asked.hostname, kind, asked.extra_hosts)
    spec = process_spec(store, container, files)
    root = rootfs.mount(
        store,
        namespace,
        container.chain(),
        container.directory,
        run,
        spec.all_mounts(),
        volatile=False,
    )
    try:
        config = runtime_config(spec, str(root), filter_calls=driver.filters_calls)
        if isinstance(driver, BuiltinDriver):
            return _start_sandbox(container, namespace, config, root, size)
        (run / "config.json").write_text(json.dumps(config))
        return _start(container, driver, namespace, spec, root, size)
    except BaseException:
        with contextlib.suppress(ContainerError):
            driver.delete(container.identifier, force=True)
        namespace.unmount(str(root))
        shutil.rmtree(run, ignore_errors=True)
        raise


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell a terminal its size; its foreground process gets SIGWINCH."""
    packed = struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, packed)


def _start(
    container: Container,
    driver: Driver,
    namespace: MountNamespace,
    spec: ProcessSpec,
    root: Path,
    size: tuple[int, int] | None,
) -> Launched:
    streams = _Streams(container.config.open_stdin and not spec.terminal)
    console = _Console(container.short) if spec.terminal else None
    run = container.run
    try:
        argv = driver.run_argv(
            run,
            container.identifier,
            log=run / "runtime.log",
            pid_file=run / "pid",
            console_socket=console.path if console else None,
            detach=True,
        )
        pid = namespace.spawn(
            argv,
            env=[f"PATH={os.environ.get('PATH', os.defpath)}".encode()],
            cwd=str(run),
            stdin=streams.inner[0],
            stdout=streams.inner[1],
            stderr=streams.inner[2],
        )
        streams.close_inner()
        terminal = console.receive(pid, size) if console else None
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise start_failure(failure_text(run / "runtime.log") or f"exit code {code}")
        first = int((run / "pid").read_text())
        if terminal is not None:
            streams.close_outer()
            return Launched(first, root, ChildProcess(first), terminal=terminal)
        outer = (streams.stdin, streams.stdout, streams.stderr)
        return Launched(first, root, ChildProcess(first), *outer)
    except BaseException:
        streams.close_inner()
        streams.close_outer()
        raise
    finally:
        if console is not None:
            console.close()


def _start_sandbox(
    container: Container,
    namespace: MountNamespace,
    config: dict[str, Any],
    root: Path,
    size: tuple[int, int] | None,
) -> Launched:
    has_terminal = config["process"]["terminal"]
    terminal: int | None = None
    streams = _Streams(container.config.open_stdin and not has_terminal)
    launcher = SandboxLauncher(namespace)

    def prepare(made: int) -> None:
        if size is not None:
            set_size(made, *size)

    try:
        process = launcher.start_first(config, streams.inner)
        streams.close_inner()
        if has_terminal:
            terminal = process.terminal(prepare)
        pid = process.started()
    except BaseException:
        streams.close_inner()
        streams.close_outer()
        launcher.close()
        if terminal is not None:
            os.close(terminal)
        raise
    (container.run / SANDBOX_MARK).touch()
    first = SandboxedProcess(process, launcher)
    if terminal is not None:
        streams.close_outer()
        return Launched(pid, root, first, terminal=terminal)
    return Launched(pid, root, first, streams.stdin, streams.stdout, streams.stderr)


class _Streams:
    """Pipes for a process without a terminal: ``inner`` ends for it, the others for us."""

    def __init__(self, open_stdin: bool) -> None:
        self.stdin: int | None = None
        if open_stdin:
            inner_in, self.stdin = os.pipe()
        else:
            inner_in = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.stdout, inner_out = os.pipe()
        self.stderr, inner_error = os.pipe()
        self.inner = (inner_in, inner_out, inner_error)
        self._inner_open = True

    def close_inner(self) -> None:
        if self._inner_open:
            self._inner_open = False
            for descriptor in self.inner:
                os.close(descriptor)

    def close_outer(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr):
            if descriptor is not None:
                os.close(descriptor)


class _Console:
    """The socket over which the runtime hands us the master of the terminal it made."""

    def __init__(self, name: str) -> None:
        # A socket's path is 107 bytes at most, so it cannot be in the store, wherever that is.
        directory = state_directory() / "console"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = directory / f"{name}-{os.getpid()}"
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen(1)

    def receive(self, runtime: int, size: tuple[int, int] | None) -> int | None:
        """The master; ``None`` where the runtime ended without one. Its size is set at once."""
        watch = os.pidfd_open(runtime)
        try:
            while True:
                self._socket.settimeout(0.05)
                try:
                    peer, _ = self._socket.accept()
                    break
                except TimeoutError:
                    if _has_ended(watch):
                        return None
        finally:
            os.close(watch)
        with peer:
            peer.settimeout(_CONSOLE_SECONDS)
            _, descriptors, _, _ = socket.recv_fds(peer, 4096, 1)
        if not descriptors:
            return None
        terminal = descriptors[0]
        os.set_inheritable(terminal, False)
        if size is not None:
            set_size(terminal, *size)
        return terminal

    def close(self) -> None:
        """Close the socket and remove its name."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def _has_ended(watch: int) -> bool:
    import select

    return bool(select.select([watch], [], [], 0)[0])
