"""Processes in the foreground: what every driver gives for the steps of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

Streams = tuple[int, int, int]
"""Descriptors of standard input, output and error output; the caller closes its own."""


class Running(Protocol):
    """A process that was started, and all that it starts."""

    def wait(self) -> int:
        """Wait for its end and that of all others in its namespace; gives the exit code.

        Raises
        ------
        ContainerError
            It could not be started; ``exit_code`` is docker's for the reason.
        """

    def kill(self) -> None:
        """Kill it, from any thread, whatever stage its start is at; :meth:`wait` ends soon."""


class Launcher(Protocol):
    """Starts processes whose roots are mounted in one mount namespace."""

    def start(
        self, bundle: Path, container_id: str, config: dict[str, Any], streams: Streams
    ) -> Running:
        """Start a process.

        Parameters
        ----------
        bundle:
            An empty directory for the runtime's files, which the caller removes.
        container_id:
            A name that is unique on the machine.
        config:
            As :func:`fastlayer.container.spec.runtime_config` makes it.
        streams:
            What the process reads and writes.

        Raises
        ------
        ContainerError
            The runtime itself cannot be started.
        """

    def close(self) -> None:
        """End what the launcher keeps; no process of its runs any more."""
