"""A fresh loop-mounted file system for every measured run.

A root file system that is old, has no journal or just had a million files deleted measures itself,
not the programs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SIZE = 24 << 30
"""Apparent size of the image file, bytes; it is sparse."""


@contextlib.contextmanager
def fresh_file_system(parent: Path, kind: str = "ext4") -> Iterator[Path]:
    """Make, mount, and afterwards remove a file system; gives its mount point."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        os.truncate(file.fileno(), SIZE)
    make = [f"mkfs.{kind}", "-q", str(image)]
    if kind == "ext4":
        # Without this, the kernel initialises inode tables while the first runs are measured.
        make[1:1] = ["-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run(make, check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "--recursive", str(mount)], check=False)
        image.unlink()
        with contextlib.suppress(OSError):
            mount.rmdir()
            folder.rmdir()


def settle(mount: Path) -> None:
    """Write everything out: each side pays for its own dirty pages."""
    subprocess.run(["sync", "-f", str(mount)], check=True)
