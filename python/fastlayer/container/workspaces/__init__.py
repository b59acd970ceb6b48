"""Where a step works: the interface, and which way this machine allows.

An overlay over checked-out layers costs nothing and shows what changed. Where none can be mounted
the tree is laid out as plain files and walked afterwards; both give the same layers. Where nothing
can be mounted at all, what would be mounted is moved into such a tree.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from fastlayer.container.mounts import Mount
from fastlayer.container.workspaces.emplaced import EmplacedWorkspaces
from fastlayer.container.workspaces.overlay import NAME as OVERLAY
from fastlayer.container.workspaces.overlay import OverlayWorkspaces, can_mount
from fastlayer.container.workspaces.plain import NAME as PLAIN
from fastlayer.container.workspaces.plain import PlainWorkspaces
from fastlayer.errors import UsageError
from fastlayer.store import LayerInfo, MountNamespace, Progress, Store

VARIABLE = "FASTLAYER_WORKSPACE"
"""The environment variable that names the way to take: ``overlay`` or ``plain``."""


class Workspace(Protocol):
    """A root directory for one process. In order: the process, ``leave``, ``diff``, ``dispose``."""

    @property
    def root(self) -> Path:
        """The directory, as the launcher's processes see it."""

    def leave(self) -> None:
        """Take back what was there for the process alone; every process has ended."""

    def diff(self, progress: Progress | None = None) -> LayerInfo:
        """The layer that the process's changes are; at most once."""

    def dispose(self) -> None:
        """Give up what is left, apart from the directory that :meth:`Workspaces.prepare` got."""


class Workspaces(Protocol):
    """Makes the workspaces of one build, for any number of threads."""

    @property
    def moves_binds(self) -> bool:
        """Whether a bind's source is moved into the root, and back: it must be the caller's own,
        and one process can have it at a time.
        """

    def prepare(self, chain: Sequence[str], directory: Path, mounts: Sequence[Mount]) -> Workspace:
        """Make a workspace.

        Parameters
        ----------
        chain:
            DiffIDs of the tree, the base's first; empty for ``FROM scratch``.
        directory:
            Empty, for what belongs to this workspace; the caller removes it.
        mounts:
            Every mount that will be made over the root, in order.

        Raises
        ------
        RawLayerError
            A layer's files cannot be laid out.
        ContainerError
            A mount target cannot be one.
        """

    def tree(self, chain: Sequence[str], directory: Path) -> AbstractContextManager[Path]:
        """The tree of a chain, for processes that may read it: as long as the context.

        The root directory itself need not have the owner and mode of the layers.

        Parameters
        ----------
        chain:
            DiffIDs of the tree, the base's first; not empty.
        directory:
            Empty; the caller removes it.

        Raises
        ------
        RawLayerError
            A layer's files cannot be laid out.
        """


def find_workspaces(store: Store, namespace: MountNamespace | None, home: Path) -> Workspaces:
    """The way that this machine allows, found by a probe.

    Parameters
    ----------
    store:
        Where the layers are.
    namespace:
        Where mounts are made; ``None`` where none can be.
    home:
        The build's directory, on the store's file system.

    Raises
    ------
    UsageError
        :data:`VARIABLE` names no way.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in {"", OVERLAY, PLAIN}:
        raise UsageError(
            f"unknown workspace: {wanted}", hint=f"set {VARIABLE} to {OVERLAY} or {PLAIN}"
        )
    if namespace is None:
        if wanted == OVERLAY:
            raise UsageError(f"{VARIABLE}: no overlay can be mounted without namespaces")
        return EmplacedWorkspaces(store, home)
    if wanted == OVERLAY or (not wanted and can_mount(namespace, home)):
        return OverlayWorkspaces(store, namespace)
    return PlainWorkspaces(store, home)


__all__ = ["OVERLAY", "PLAIN", "VARIABLE", "Workspace", "Workspaces", "find_workspaces"]
