"""What starts and stops processes in namespaces: the driver interface, and how one is chosen.

A driver turns wishes into the argument vector of a runtime program and runs the short ones, or
is our own sandbox. It knows nothing of images, layers or state files.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from fastlayer.container.drivers.builtin import NAME as BUILTIN
from fastlayer.container.drivers.builtin import BuiltinDriver
from fastlayer.container.drivers.chroot import NAME as CHROOT
from fastlayer.container.drivers.chroot import ChrootDriver
from fastlayer.container.drivers.foreground import Launcher, Running, Streams
from fastlayer.container.drivers.runc import RuncDriver, find_runtime
from fastlayer.container.user_namespace import is_nested
from fastlayer.errors import RuntimeMissingError, StoreIOError, UsageError
from fastlayer.store import MountNamespace

RUNTIMES = ("runc", "crun", "youki")
"""Programs that are looked for, the preferred first."""

VARIABLE = "FASTLAYER_RUNTIME"
"""The environment variable that names the runtime: one of them, ``builtin`` or ``chroot``."""


class StepDriver(Protocol):
    """What runs the steps of a build. Ids are unique on the machine."""

    @property
    def name(self) -> str:
        """The runtime's program name."""

    @property
    def filters_calls(self) -> bool:
        """Whether it can filter system calls."""

    @property
    def uses_namespaces(self) -> bool:
        """Whether its processes get namespaces; else nothing can be mounted for them."""

    def launcher(self, namespace: MountNamespace | None) -> Launcher:
        """What starts processes whose roots are mounted in a namespace; ``None`` where it uses
        none.
        """

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """Forget a stopped container; ``force`` kills it first and accepts that there is none."""


class Driver(StepDriver, Protocol):
    """An OCI runtime, which runs containers too. A bundle is a directory with config.json."""

    def run_argv(
        self,
        bundle: Path,
        container_id: str,
        *,
        log: Path,
        pid_file: Path | None = None,
        console_socket: Path | None = None,
        detach: bool = False,
    ) -> list[bytes]:
        """The command that starts a container; in the foreground it exits with the process's code
        and leaves nothing behind, ``detach`` leaves the process to the caller's reaper.
        """

    def exec_argv(
        self, container_id: str, process: Path, *, log: Path, detach: bool = False
    ) -> list[bytes]:
        """The command that starts one more process, described by a JSON file, in a container; in
        the foreground it exits with the process's code.
        """

    def kill(self, container_id: str, signal: int) -> None:
        """Send a signal to the first process."""

    def pause(self, container_id: str) -> None:
        """Freeze all processes."""

    def resume(self, container_id: str) -> None:
        """Thaw all processes."""


def find_driver(cache: Path, wanted: str | None = None) -> Driver | BuiltinDriver:
    """What runs containers: a runtime that is installed and works, else our sandbox.

    Parameters
    ----------
    cache:
        File that remembers which program passed the probe, so that it runs once.
    wanted:
        A runtime's name or ``builtin``; ``$FASTLAYER_RUNTIME`` where it is ``None``.

    Raises
    ------
    UsageError
        There is no runtime of that name.
    RuntimeMissingError
        The runtime that was asked for does not work, or the user may not make namespaces.
    """
    name = _wanted(wanted)
    if name in RUNTIMES:
        return find_runtime(cache, (name,))
    if not name and not is_nested() and os.geteuid() == 0:
        with contextlib.suppress(RuntimeMissingError):
            return find_runtime(cache, RUNTIMES)
    _require_root()
    if name == CHROOT or not _may_make_namespaces():
        raise RuntimeMissingError(
            "containers need namespaces, and this machine refuses them",
            hint="the steps of builds run without them",
        )
    return BuiltinDriver()


def find_step_driver(cache: Path, wanted: str | None = None) -> StepDriver:
    """What runs the steps of a build: a runtime that is installed and works, else our sandbox, and
    where namespaces are refused a mere change of the root directory.

    Parameters
    ----------
    cache:
        As for :func:`find_driver`.
    wanted:
        A runtime's name, ``builtin`` or ``chroot``; ``$FASTLAYER_RUNTIME`` where it is ``None``.

    Raises
    ------
    UsageError
        There is no runtime of that name.
    RuntimeMissingError
        The runtime that was asked for does not work, or the user may not make namespaces.
    """
    name = _wanted(wanted)
    if name in RUNTIMES:
        return find_runtime(cache, (name,))
    refused = name == CHROOT or (not name and not _may_make_namespaces())
    if not name and not refused and not is_nested():
        with contextlib.suppress(RuntimeMissingError):
            return find_runtime(cache, RUNTIMES)
    _require_root()
    return ChrootDriver() if refused else BuiltinDriver()


def _wanted(name: str | None) -> str:
    """The driver that is asked for; empty where none is."""
    name = os.environ.get(VARIABLE, "") if name is None else name
    if name and name not in {*RUNTIMES, BUILTIN, CHROOT}:
        known = ", ".join((*RUNTIMES, BUILTIN, CHROOT))
        raise UsageError(f"unknown runtime: {name}", hint=f"set {VARIABLE} to one of {known}")
    return name


def _require_root() -> None:
    if os.geteuid() != 0:
        raise RuntimeMissingError(
            "running processes needs root or a user namespace, and this process has neither",
            hint="see why with `unshare --user true`; COPY-only builds need no namespace",
        )


def _may_make_namespaces() -> bool:
    """Whether this process is allowed a mount namespace."""
    try:
        MountNamespace().close()
    except StoreIOError:
        return False
    return True


_: Driver = RuncDriver("runc", Path("/usr/bin/runc"), Path("/run/fastlayer"))

__all__ = [
    "RUNTIMES",
    "BuiltinDriver",
    "ChrootDriver",
    "Driver",
    "Launcher",
    "RuncDriver",
    "Running",
    "StepDriver",
    "Streams",
    "find_driver",
    "find_step_driver",
]
