"""Workspaces that are plain trees: laid out once, handed from step to step, walked after each.

A tree that was handed back becomes that of the next step's chain where both have layers in common;
what differs is written, the rest stays.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container import scaffold
from fastlayer.container.mounts import Mount
from fastlayer.errors import FastlayerError
from fastlayer.store import Entry, LayerInfo, PlainTree, Progress, Store, remove_tree

NAME = "plain"
"""How this way is asked for."""

_KEPT = 2
"""Trees that wait for a next step; each is as large as its image."""


@dataclass(frozen=True, slots=True)
class _Idle:
    """A tree that nobody works in."""

    tree: PlainTree
    place: Path


class PlainWorkspaces:
    """See :class:`fastlayer.container.workspaces.Workspaces`.

    Parameters
    ----------
    store:
        Where the layers are.
    home:
        Holds the trees; removed by the caller in the end.
    """

    moves_binds = False

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._home = home
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []

    def prepare(
        self, chain: Sequence[str], directory: Path, mounts: Sequence[Mount]
    ) -> PlainWorkspace:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        targets = [(mount.target, mount.is_directory) for mount in mounts]
        missing = [
            (b"/".join(point.components), point.is_directory)
            for point in scaffold.missing_points(self.lookup(chain), targets)
        ]
        found = self._take(tuple(chain)) or self._lay_out(chain)
        try:
            found.tree.place(missing)
        except BaseException:
            remove_tree(found.place)
            raise
        return PlainWorkspace(self._store, self, found.tree, found.place)

    def lookup(self, chain: Sequence[str]) -> scaffold.Lookup:
        """What finds the entries of a chain's tree."""

        def find(path: bytes) -> Entry | None:
            return self._store.stat(chain, path, follow=False) if chain else None

        return find

    @contextlib.contextmanager
    def tree(self, chain: Sequence[str], directory: Path) -> Iterator[Path]:
        """See :class:`fastlayer.container.workspaces.Workspaces`."""
        self._store.write_tree(chain, str(directory))
        yield directory

    def give_back(self, tree: PlainTree, place: Path) -> None:
        """Keep a tree for a next step: it is just that of its chain."""
        with self._lock:
            self._idle.append(_Idle(tree, place))
            surplus = [self._idle.pop(0) for _ in range(len(self._idle) - _KEPT)]
        for idle in surplus:
            remove_tree(idle.place)

    def _take(self, chain: tuple[str, ...]) -> _Idle | None:
        """A tree that waits, brought to a chain."""
        with self._lock:
            best = max(self._idle, key=lambda idle: _common(idle.tree.chain, chain), default=None)
            if best is None or not _common(best.tree.chain, chain):
                return None
            self._idle.remove(best)
        try:
            self._store.move_plain_tree(best.tree, chain)
        except FastlayerError:
            remove_tree(best.place)
            return None  # whatever is wrong with it, a new one shows
        except BaseException:
            remove_tree(best.place)
            raise
        return best

    def _lay_out(self, chain: Sequence[str]) -> _Idle:
        place = self._home / f"tree-{secrets.token_hex(8)}"
        place.mkdir(mode=0o700)
        try:
            return _Idle(self._store.lay_out(chain, str(place)), place)
        except BaseException:
            remove_tree(place)
            raise


class PlainWorkspace:
    """See :class:`fastlayer.container.workspaces.Workspace`."""

    def __init__(self, store: Store, owner: PlainWorkspaces, tree: PlainTree, place: Path) -> None:
        self._store = store
        self._owner = owner
        self.tree = tree
        """What the process works in."""
        self._place = place
        self._is_clean = False

    @property
    def root(self) -> Path:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        return self._place

    def leave(self) -> None:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        self.tree.remove_placed()

    def diff(self, progress: Progress | None = None) -> LayerInfo:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        layer = self._store.diff_plain_tree(self.tree, progress=progress)
        self._is_clean = True
        return layer

    def dispose(self) -> None:
        """See :class:`fastlayer.container.workspaces.Workspace`."""
        if self._is_clean:
            self._owner.give_back(self.tree, self._place)
        else:
            remove_tree(self._place)


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many layers two chains begin with alike."""
    pairs = zip(left, right, strict=False)
    return next(
        (number for number, (one, other) in enumerate(pairs) if one != other),
        min(len(left), len(right)),
    )
