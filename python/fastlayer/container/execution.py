"""Starts one more process in a running container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastlayer.container import capabilities, process
from fastlayer.container.drivers import RUNTIMES
from fastlayer.container.drivers.failure import failure_text, start_failure
from fastlayer.container.drivers.runc import find_runtime
from fastlayer.container.drivers.sandbox import SandboxLauncher
from fastlayer.container.launch import SANDBOX_MARK
from fastlayer.container.lifecycle import current_state
from fastlayer.container.registry import Container
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
    stdin: bool = False
    detach: bool = False
    privileged: bool = False


def execute(store: Store, container: Container, request: ExecRequest) -> int:
    """Run a process on this process's own standard streams; gives its exit code.

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
        return _run_beside(container.state().pid, spec, request)
    driver = find_runtime(store.root / "runtime", RUNTIMES)
    with tempfile.TemporaryDirectory(prefix="exec-", dir=store.root / "staging") as folder:
        document, log = Path(folder) / "process.json", Path(folder) / "log"
        document.write_text(json.dumps(process_section(spec)))
        argv = driver.exec_argv(container.identifier, document, log=log, detach=request.detach)
        code = _run(argv, stdin=request.stdin)
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


def _run_beside(pid: int, spec: ProcessSpec, request: ExecRequest) -> int:
    """Run a process beside one of our own sandbox's."""
    wanted = {"-t": request.terminal, "-d": request.detach}
    refused = [flag for flag, is_set in wanted.items() if is_set]
    if refused or is_nested():
        what = f"exec {refused[0]}" if refused else "exec by another user than root"
        raise ContainerError(
            f"{what} needs a runtime: the built-in sandbox does not do it",
            hint="install runc, crun or youki and run as root",
        )
    launcher = SandboxLauncher(None)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        streams = (0 if request.stdin else null, 1, 2)
        running = launcher.start_beside(pid, runtime_config(spec, "/"), streams)
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:
                running.signal(signal.SIGINT)  # what the process does with it counts
    finally:
        os.close(null)
        launcher.close()


def _run(argv: Sequence[bytes], *, stdin: bool) -> int:
    """Run the runtime; signals of the terminal reach it too, and it hands them on."""
    source = None if stdin else subprocess.DEVNULL
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with subprocess.Popen(argv, stdin=source, env=environment) as running:
        while True:
            try:
                code = running.wait()
            except KeyboardInterrupt:
                continue  # the runtime got it, too: what the process does with it counts
            return 128 - code if code < 0 else code
