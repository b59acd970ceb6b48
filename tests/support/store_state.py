"""What a store holds, as a value: for tests that say "and the store is as it was".

A snapshot is taken by reading alone, past the command under test: refs and containers as the bytes
of their files, layers as the store lists them. ``fsck`` is run each time.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from fastlayer.image.check import check_images
from fastlayer.store import Store

_VOLATILE = ("lock", ".new-", ".dead-", ".tmp")
"""How the names of files begin that mean nothing once their process has ended."""
_PATIENCE = 5.0
"""Seconds in which the processes and mounts of a killed command must be gone."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """Names and images, layers, and containers with their writable files."""

    refs: dict[str, bytes]
    layers: frozenset[str]
    containers: dict[str, bytes]

    @classmethod
    def of(cls, root: Path) -> StoreState:
        """Take a snapshot, and assert that the store is sound."""
        store = Store(root, create=False)
        problems = [*check_images(store), *store.fsck()]
        assert not problems, f"fsck of {root}: {problems}"
        return cls(
            refs=_files(root / "refs"),
            layers=frozenset(store.layers()),
            containers=_files(root / "containers"),
        )

    def assert_same(self, after: StoreState, *, more_layers: bool = False) -> None:
        """Nothing was added, changed or lost; ``more_layers`` allows steps kept by the cache."""
        assert after.refs == self.refs
        assert after.containers == self.containers
        if more_layers:
            assert after.layers >= self.layers
        else:
            assert after.layers == self.layers


def assert_no_leftovers(root: Path) -> None:
    """No process and no mount has to do with the store any more, and no work is in progress."""
    deadline = time.monotonic() + _PATIENCE
    while (left := [*_processes(root), *_mounts(root)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"left over: {left}"


def staging(root: Path) -> list[str]:
    """What lies in the store's directory of unfinished work."""
    return sorted(os.listdir(root / "staging"))


def _files(folder: Path) -> dict[str, bytes]:
    """Every lasting file below a folder: its path and its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.name
        if name.startswith(_VOLATILE) or path.is_symlink() or not path.is_file():
            continue
        found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def _processes(root: Path) -> list[str]:
    """Processes, but for this one, whose command line or directory names the store."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            place = os.readlink(entry / "cwd")
        except OSError:
            continue  # it has ended
        if os.fsencode(root) in words or place.startswith(str(root)):
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def _mounts(root: Path) -> list[str]:
    """Mounts below the store, or of its layers, in any mount namespace of a living process."""
    seen, found = set(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            namespace = os.readlink(entry / "ns" / "mnt")
            if namespace in seen:
                continue
            text = (entry / "mountinfo").read_text()
        except OSError:
            continue  # it has ended
        seen.add(namespace)
        found += [line for line in text.splitlines() if f"{root}/" in line]
    return found
