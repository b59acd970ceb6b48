"""What starts and stops processes in namespaces: the driver interface, and how one is chosen.

A driver turns wishes into the argument vector of a runtime program and runs the short ones. It
knows nothing of images, layers or state files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fastlayer.container.drivers.runc import RuncDriver, find_runtime


class Driver(Protocol):
    """An OCI runtime. Ids are unique on the machine; a bundle is a directory with config.json."""

    @property
    def name(self) -> str:
        """The runtime's program name."""

    @property
    def filters_calls(self) -> bool:
        """Whether it can filter system calls."""

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

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """Forget a stopped container; ``force`` kills it first and accepts that there is none."""


def find_driver(cache: Path, candidates: Sequence[str] = ("runc", "crun", "youki")) -> Driver:
    """The first runtime that is installed and works here.

    Parameters
    ----------
    cache:
        File that remembers which program passed the probe, so that it runs once.
    candidates:
        Program names, the preferred first.

    Raises
    ------
    RuntimeMissingError
        None is installed, or none works; the message has each one's reason.
    """
    return find_runtime(cache, candidates)


_: Driver = RuncDriver("runc", Path("/usr/bin/runc"), Path("/run/fastlayer"))

__all__ = ["Driver", "RuncDriver", "find_driver"]
