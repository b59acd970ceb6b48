"""A chain of layers mounted by the kernel's overlayfs, to change and to look at. Needs root."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastlayer.store import Store

from tests.support.file_system import unmount
from tests.support.requirements import need_root


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """Where the tree is seen, and where changes of it go."""

    merged: Path
    upper: Path


@contextlib.contextmanager
def overlay_mount(store: Store, chain: Sequence[str], folder: Path) -> Iterator[OverlayMount]:
    """Check the chain out and mount it below a new folder on the store's file system.

    The mount is gone afterwards, the upper stays.
    """
    need_root()
    mount = OverlayMount(folder / "merged", folder / "upper")
    for name in ("merged", "upper", "work"):
        (folder / name).mkdir(parents=True)
    lowers = store.checkout(chain)
    stacked = "::".join((":".join(lowers.directories), *lowers.data))
    options = ",".join(
        [
            "index=off,metacopy=off,redirect_dir=off",
            f"lowerdir={stacked},upperdir={mount.upper},workdir={folder / 'work'}",
        ]
    )
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, str(mount.merged)], check=True
    )
    try:
        yield mount
    finally:
        unmount(mount.merged)
