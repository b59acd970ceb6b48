"""The driver of last resort: a changed root directory and nothing else.

For machines that refuse namespaces, such as a build inside of another engine's container. The
process sees the machine's own processes and network, nothing can be mounted, and system calls are
filtered by whoever made the machine. Who is root in there can leave: the machine around it is the
isolation.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastlayer.container.drivers.sandbox import SandboxLauncher
from fastlayer.store import MountNamespace

NAME = "chroot"
"""How it is asked for."""


@dataclass(frozen=True, slots=True)
class ChrootDriver:
    """See :class:`fastlayer.container.drivers.StepDriver`."""

    name: str = NAME
    filters_calls: bool = False
    uses_namespaces: bool = False

    def launcher(self, namespace: MountNamespace | None) -> SandboxLauncher:
        """See :class:`fastlayer.container.drivers.StepDriver`."""
        return SandboxLauncher(namespace)

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """See :class:`fastlayer.container.drivers.StepDriver`: nothing outlives its build."""
