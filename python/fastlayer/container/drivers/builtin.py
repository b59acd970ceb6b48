"""The driver that needs nothing but the wheel: our own sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from fastlayer.container.drivers.sandbox import SandboxLauncher
from fastlayer.store import MountNamespace

NAME = "builtin"
"""How it is asked for."""


@dataclass(frozen=True, slots=True)
class BuiltinDriver:
    """See :class:`fastlayer.container.drivers.StepDriver`."""

    name: str = NAME
    filters_calls: bool = True
    uses_namespaces: bool = True

    def launcher(self, namespace: MountNamespace | None) -> SandboxLauncher:
        """See :class:`fastlayer.container.drivers.StepDriver`."""
        return SandboxLauncher(namespace)

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """See :class:`fastlayer.container.drivers.StepDriver`: nothing outlives its build."""
