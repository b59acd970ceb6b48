"""Starts one more process in a running container."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastlayer.container import attach, capabilities, process
from fastlayer.container.attach import Kind
from fastlayer.container.drivers import RUNTIMES
from fastlayer.container.drivers.failure import failure_text, start_failure
from fastlayer.container.drivers.runc import find_runtime
from fastlayer.container.drivers.sandbox import SandboxLauncher, SandboxProcess
from fastlayer.container.launch import SANDBOX_MARK, Launched, SandboxedProcess, set_size
from fastlayer.container.lifecycle import Session, current_state
from fastlayer.container.log import LogWriter
from fastlayer.container.registry import Container
from fastlayer.container.relay import Relay
from fastlayer.container.spec import (
    ProcessSpec,
    process_section,
    require_passable,
    runtime_config,
)
from fastlayer.container.tree import MergedTree
from fastlayer.container.user_namespace import is_nested
from fastlayer.errors import ConflictError, ContainerError
from fastlayer.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """What is started: the container's settings hold where a field is empty."""

    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_directory: str = ""
    terminal: bool = False
    size: tuple[int, int] | None = None
    """Rows and columns of the terminal."""
    stdin: bool = False
    detach: bool = False
    privileged: bool = False


Attend = Callable[[Session], int]
"""Passes keys and output between the user and a terminal until its process ends; the exit code."""


def execute(
    store: Store, container: Container, request: ExecRequest, attend: Attend | None = None
) -> int:
    """Run a process on this process's own standard streams; gives its exit code.

    ``attend`` is called where the process gets a terminal of ours and not of a runtime's.

    Raises
    ------
    ConflictError
        The container does not run.
    ContainerError
        The process cannot be started; ``exit_code`` is docker's for the reason.
    """
    if current_state(store, container).status != "running":
        raise ConflictError(
            f"container {container.config.name} is not running",
            hint=f"fastlayer start {container.config.name}",
        )
    require_passable(request.command)
    spec = _spec(store, container, request)
    if (container.run / SANDBOX_MARK).exists():
        return _run_beside(container.state().pid, spec, request, attend)
    driver = find_runtime(store.root / "runtime", RUNTIMES)
    with tempfile.TemporaryDirectory(prefix="exec-", dir=store.root / "staging") as folder:
        document, log = Path(folder) / "process.json", Path(folder) / "log"
        document.write_text(json.dumps(process_section(spec)))
        argv = driver.exec_argv(container.identifier, document, log=log, detach=request.detach)
        code = _run(argv, stdin=request.stdin, alone=request.detach)
        reason = failure_text(log) if code else ""
    if reason:
        raise start_failure(reason)
    return code


def _spec(store: Store, container: Container, request: ExecRequest) -> ProcessSpec:
    spec = process.process_spec(store, container, ())
    settings = dict(entry.partition("=")[::2] for entry in spec.environment)
    if request.terminal:
        settings.setdefault("TERM", "xterm")
    settings |= dict(request.environment)
    user = spec.user
    if request.user:
        tree = MergedTree(store, container.chain(), container.upper)
        user = process.resolve_user_in(tree, request.user)
        settings.pop("HOME", None)
    chosen = capabilities.ALL if request.privileged else spec.capabilities
    return replace(
        spec,
        arguments=request.command,
        environment=tuple(f"{name}={value}" for name, value in settings.items()),
        working_directory=request.working_directory or spec.working_directory,
        user=user,
        terminal=request.terminal,
        capabilities=capabilities.within(chosen, process.capability_mask()),
    )


def _run_beside(pid: int, spec: ProcessSpec, request: ExecRequest, attend: Attend | None) -> int:
    """Run a process beside one of our own sandbox's."""
    if is_nested():
        raise ContainerError(
            "exec by another user than root needs a runtime: the built-in sandbox does not do it",
            hint="install runc, crun or youki and run as root",
        )
    config = runtime_config(spec, "/")
    launcher = SandboxLauncher(None)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        if request.detach:
            return _leave_alone(launcher, launcher.start_beside(pid, config, (null, null, null)))
        if request.terminal and attend is not None:
            running = launcher.start_beside(pid, config, (null, null, null))
            return attend(_session(running, launcher, request.size))
        running = launcher.start_beside(pid, config, (0 if request.stdin else null, 1, 2))
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:
                running.signal(signal.SIGINT)  # what the process does with it counts
    finally:
        os.close(null)
        launcher.close()


def _leave_alone(launcher: SandboxLauncher, running: SandboxProcess) -> int:
    """Let a process run on when we are gone: somebody must hold the connection to its supervisor,
    who takes its end for a wish to kill.
    """
    running.started()
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        launcher.let_go()
        with contextlib.suppress(BaseException):
            running.wait()
        os._exit(0)
    return 0


def _session(
    running: SandboxProcess, launcher: SandboxLauncher, size: tuple[int, int] | None
) -> Session:
    """A connection to the terminal of a process, as a monitor gives one."""
    terminal = running.terminal(lambda made: set_size(made, *size) if size else None)
    first = SandboxedProcess(running, launcher)
    launched = Launched(running.started(), Path("/"), first, terminal=terminal)
    ours, theirs = socket.socketpair()
    relay = Relay(launched, LogWriter(Path(os.devnull)))
    relay.add_client(theirs)

    def work() -> None:
        relay.run()
        code = first.wait()
        relay.close_streams()
        relay.finish(attach.encode_numbers(Kind.EXITED, code))

    threading.Thread(target=work, daemon=True, name="relay").start()
    return Session(ours)


def _run(argv: Sequence[bytes], *, stdin: bool, alone: bool) -> int:
    """Run the runtime; signals of the terminal reach it too, and it hands them on.

    A process that is left ``alone`` gets none of our streams: who reads them waits for its end.
    """
    source = None if stdin and not alone else subprocess.DEVNULL
    output = subprocess.DEVNULL if alone else None
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with subprocess.Popen(
        argv, stdin=source, stdout=output, stderr=output, env=environment
    ) as running:
        while True:
            try:
                code = running.wait()
            except KeyboardInterrupt:
                continue  # the runtime got it, too: what the process does with it counts
            return 128 - code if code < 0 else code
