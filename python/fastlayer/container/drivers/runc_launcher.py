"""Processes in the foreground by runc: the runtime is our child and ends with its process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fastlayer.container.drivers.failure import failure_text, start_failure
from fastlayer.container.drivers.foreground import Streams
from fastlayer.errors import ContainerError
from fastlayer.store import MountNamespace

_KILL_SECONDS = 10.0
_KILL_PAUSE = 0.05

# The runtime lives too briefly for its garbage to matter, and is a chain of processes that wait for
# each other: more threads of Go's scheduler make a start slower (decisions/how-runc-is-started.md).
_GO_SETTINGS = (b"GOGC=off", b"GOMAXPROCS=1")


class _Driver(Protocol):
    """What a launcher needs of its driver."""

    def run_argv(self, bundle: Path, container_id: str, *, log: Path) -> list[bytes]: ...

    def delete(self, container_id: str, *, force: bool = False) -> None: ...


class RuncLauncher:
    """See :class:`fastlayer.container.drivers.foreground.Launcher`."""

    def __init__(self, driver: _Driver, namespace: MountNamespace) -> None:
        self._driver = driver
        self._namespace = namespace

    def start(
        self, bundle: Path, container_id: str, config: dict[str, Any], streams: Streams
    ) -> RuncProcess:
        """See :class:`fastlayer.container.drivers.foreground.Launcher`."""
        log = bundle / "runtime.log"
        (bundle / "config.json").write_text(json.dumps(config))
        pid = self._namespace.spawn(
            self._driver.run_argv(bundle, container_id, log=log),
            env=[f"PATH={os.environ.get('PATH', os.defpath)}".encode(), *_GO_SETTINGS],
            cwd=str(bundle),
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
        )

        def delete() -> None:
            with contextlib.suppress(ContainerError):
                self._driver.delete(container_id, force=True)

        return RuncProcess(pid, log, delete)

    def close(self) -> None:
        """See :class:`fastlayer.container.drivers.foreground.Launcher`."""


class RuncProcess:
    """See :class:`fastlayer.container.drivers.foreground.Running`."""

    def __init__(self, pid: int, log: Path, delete: Callable[[], None]) -> None:
        self._pid = pid
        self._log = log
        self._delete = delete
        self._ended = threading.Event()

    def wait(self) -> int:
        """See :class:`fastlayer.container.drivers.foreground.Running`."""
        _, status = os.waitpid(self._pid, 0)
        self._ended.set()
        code = os.waitstatus_to_exitcode(status)
        if code and (reason := failure_text(self._log)):
            raise start_failure(reason)
        return 128 - code if code < 0 else code

    def kill(self) -> None:
        """See :class:`fastlayer.container.drivers.foreground.Running`."""
        # The runtime may not have made its container yet: then there is nothing to kill so far.
        deadline = time.monotonic() + _KILL_SECONDS
        while not self._ended.is_set() and time.monotonic() < deadline:
            self._delete()
            if self._has_ended():
                return
            self._ended.wait(_KILL_PAUSE)
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._delete()

    def _has_ended(self) -> bool:
        """Whether it ended, waited for or not; leaves it to be waited for."""
        try:
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True
