"""Starts a container's process: mounts its root, writes its bundle, runs the runtime detached.

Used by the monitor only, which must be a subreaper: the process becomes its child.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import termios
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container import network, rootfs
from fastlayer.container.drivers import Driver
from fastlayer.container.drivers.failure import failure_text, start_failure
from fastlayer.container.drivers.runc import state_directory
from fastlayer.container.process import process_spec
from fastlayer.container.registry import Container
from fastlayer.container.spec import ProcessSpec, runtime_config
from fastlayer.errors import ContainerError
from fastlayer.store import MountNamespace, Store

_CONSOLE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Launched:
    """A started process. Descriptors are the monitor's ends; ``terminal`` is the pty's master,
    and then there are no pipes.
    """

    pid: int
    root: Path
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    terminal: int | None = None


def launch(
    store: Store,
    container: Container,
    driver: Driver,
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
            return Launched(first, root, terminal=terminal)
        return Launched(first, root, streams.stdin, streams.stdout, streams.stderr)
    except BaseException:
        streams.close_inner()
        streams.close_outer()
        raise
    finally:
        if console is not None:
            console.close()


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
