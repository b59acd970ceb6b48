"""A chain of layers mounted writable, as a step of a build has it; seen from the test itself.

The mounts are those of the store's own code, in a mount namespace of their own: they end with
the test whatever becomes of it. A process in there lends its view of the file system.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.requirements import need_core, need_program, need_root

need_core()

from fastlayer.store import LayerInfo, MountNamespace, Store  # noqa: E402


@dataclass(frozen=True, slots=True)
class MountedTree:
    """A mount: what it shows, and where what is written goes."""

    merged: Path
    upper: Path


@dataclass(slots=True)
class TreeMounts:
    """Mounts chains of one store below a folder on the same file system."""

    store: Store
    folder: Path
    _namespace: MountNamespace
    _process: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def mounted(self, chain: Sequence[str]) -> Iterator[MountedTree]:
        """Mount a chain below an empty upper; the upper stays when the mount is gone."""
        with self.mounted_over(*self.store.checkout(chain)) as mount:
            yield mount

    @contextlib.contextmanager
    def mounted_over(
        self, lowers: Sequence[str], data: Sequence[str] = ()
    ) -> Iterator[MountedTree]:
        """As :meth:`mounted`, over directories in overlay's format, the topmost first."""
        place = self.folder / f"{next(self._numbers)}"
        for name in ("upper", "work", "merged"):
            (place / name).mkdir(parents=True)
        os.chmod(place / "upper", 0o755)
        upper, work, merged = (str(place / name) for name in ("upper", "work", "merged"))
        self._namespace.mount_overlay(lowers, data, (upper, work), merged, volatile=True)
        try:
            yield MountedTree(Path(f"/proc/{self._process}/root{merged}"), place / "upper")
        finally:
            self._namespace.unmount(merged)

    def layer(self, chain: Sequence[str], mount: MountedTree, *, adopt: bool) -> LayerInfo:
        """The layer of what was written: as of a RUN (``adopt``), or as of a container."""
        return self.store.diff_upper(chain, str(mount.upper), adopt=adopt)


@contextlib.contextmanager
def tree_mounts(store: Store, folder: Path) -> Iterator[TreeMounts]:
    """Open a mount namespace for the time of the context; needs root."""
    need_root()
    sleep = need_program("sleep")
    folder.mkdir(parents=True, exist_ok=True)
    namespace = MountNamespace()
    with open(os.devnull, "r+b") as null:
        streams = {name: null.fileno() for name in ("stdin", "stdout", "stderr")}
        argv = [os.fsencode(sleep), b"infinity"]
        process = namespace.spawn(argv, env=[], cwd="/", **streams)
    try:
        yield TreeMounts(store, folder, namespace, process)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        namespace.close()
