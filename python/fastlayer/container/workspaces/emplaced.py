"""Workspaces for machines on which nothing can be mounted: plain trees with things put in place.

What would be mounted is moved into the tree for the time of the process, and what is there moved
aside: files and directories of the caller's, an empty directory for each new file system, device
nodes as far as the kernel allows them. Nothing is read-only, no size is limited, and ``/proc`` and
``/sys`` are empty. Mount sources must be on the store's file system and the caller's own.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from fastlayer.container import scaffold
from fastlayer.container.mounts import Mount
from fastlayer.container.workspaces.plain import PlainWorkspace, PlainWorkspaces
from fastlayer.errors import ContainerError
from fastlayer.store import Store

_DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
_DEFAULT_MODES = {"tmpfs": 0o1777}
_EMPTY_MODE = 0o555


class EmplacedWorkspaces:
    """See :class:`fastlayer.container.workspaces.Workspaces`."""

    moves_binds = True

    def __init__(self, store: Store, home: Path) -> None:
        self._trees = PlainWorkspaces(store, home)

    def prepare(
        self, chain: Sequence[str], directory: Path, mounts: Sequence[Mount]
    ) -> PlainWorkspace:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        points = _points(self._trees.lookup(chain), mounts)
        workspace = self._trees.prepare(chain, directory, ())
        try:
            for number, (mount, path) in enumerate(zip(mounts, points, strict=True)):
                place = directory / f"mount-{number}"
                source = mount.source if mount.kind == "bind" else str(_new(mount, place))
                workspace.tree.put(path, source, str(directory / f"aside-{number}"))
        except BaseException:
            with contextlib.suppress(Exception):
                workspace.leave()
            workspace.dispose()
            raise
        return workspace

    def tree(self, chain: Sequence[str], directory: Path) -> AbstractContextManager[Path]:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        return self._trees.tree(chain, directory)


def _points(lookup: scaffold.Lookup, mounts: Sequence[Mount]) -> list[bytes]:
    """Where each mount lands in the tree; below an earlier one no links are followed."""
    covered: list[str] = []
    found = []
    for mount in mounts:
        if any(mount.target.startswith(f"{target}/") for target in covered):
            found.append(os.fsencode(mount.target.strip("/")))
        else:
            point = scaffold.resolve(lookup, mount.target, is_directory=mount.is_directory)
            found.append(b"/".join(point.components))
        covered.append(mount.target.rstrip("/"))
    return found


def _new(mount: Mount, place: Path) -> Path:
    """An empty directory that stands for a new file system."""
    mode = _DEFAULT_MODES.get(mount.kind, _EMPTY_MODE)
    for option in mount.options:
        name, _, value = option.partition("=")
        if name == "mode":
            mode = int(value, 8)
    place.mkdir()
    if mount.target == "/dev":
        _populate_devices(place)
    place.chmod(mode)
    return place


def _populate_devices(place: Path) -> None:
    for name, (major, minor) in _DEVICES.items():
        path = place / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        except PermissionError:
            continue  # whoever needs it finds that it is missing
        path.chmod(0o666)
    for name, target in _LINKS.items():
        (place / name).symlink_to(target)


def require_host_network(network: str) -> None:
    """Refuse a network of its own to a process that gets no namespaces.

    Raises
    ------
    ContainerError
        The network is not the host's.
    """
    if network != "host":
        raise ContainerError(
            f"network {network} needs a network namespace, and this machine refuses namespaces",
            hint="leave --network out where the build runs in a container without privileges",
        )
