"""Workspaces that are overlays: the upper is what changed, and becomes the layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastlayer.container import rootfs
from fastlayer.container.mounts import Mount
from fastlayer.errors import StoreIOError
from fastlayer.store import LayerInfo, MountNamespace, Progress, Store, remove_tree

NAME = "overlay"
"""How this way is asked for."""


class OverlayWorkspaces:
    """See :class:`fastlayer.container.workspaces.Workspaces`."""

    moves_binds = False

    def __init__(self, store: Store, namespace: MountNamespace) -> None:
        self._store = store
        self._namespace = namespace

    def prepare(
        self, chain: Sequence[str], directory: Path, mounts: Sequence[Mount]
    ) -> OverlayWorkspace:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        upper = rootfs.make_upper(self._store, chain, directory)
        root = rootfs.mount(
            self._store, self._namespace, chain, directory, directory, mounts, volatile=True
        )
        return OverlayWorkspace(self._store, self._namespace, tuple(chain), upper, root)

    @contextlib.contextmanager
    def tree(self, chain: Sequence[str], directory: Path) -> Iterator[Path]:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        tree = rootfs.mount_tree(self._store, self._namespace, chain, directory)
        try:
            yield tree
        finally:
            self._namespace.unmount(str(tree))


class OverlayWorkspace:
    """See :class:`fastlayer.container.workspaces.Workspace`."""

    def __init__(
        self,
        store: Store,
        namespace: MountNamespace,
        chain: tuple[str, ...],
        upper: Path,
        root: Path,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._chain = chain
        self._upper = upper
        self._root = root

    @property
    def root(self) -> Path:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        return self._root

    def leave(self) -> None:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        self._namespace.unmount(str(self._root))

    def diff(self, progress: Progress | None = None) -> LayerInfo:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        upper = str(self._upper)
        return self._store.diff_upper(self._chain, upper, adopt=True, progress=progress)

    def dispose(self) -> None:
        """See :class:`fastlayer.container.workspaces.Workspace`."""


def can_mount(namespace: MountNamespace, home: Path) -> bool:
    """Whether an overlay whose upper is below ``home`` can be mounted."""
    place = home / "probe"
    names = ("lower", "upper", "work", "rootfs")
    lower, upper, work, root = (str(place / name) for name in names)
    place.mkdir(mode=0o700)
    for name in names:
        (place / name).mkdir()
    try:
        namespace.mount_overlay([lower], [], (upper, work), root, volatile=True)
    except StoreIOError:
        return False
    else:
        namespace.unmount(root)
        return True
    finally:
        remove_tree(place)
