"""File systems of a test's own: on loop devices, in memory, stacked; ones that lose power.

A file system that was copied while it is mounted is what a machine finds that lost its power at
that moment: the kernel writes to a loop device's file what it would write to a disk, in the same
order, and nothing that it still holds back.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.requirements import need_program, need_root

_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    # Without links, attributes and nameless files, as every FAT; by FUSE, since few kernels of
    # servers and of CI machines have one.
    "exfat": ("mkfs.exfat",),
}
SMALLEST_XFS = 320 << 20
"""Bytes; mkfs.xfs refuses less than 300 MB."""


@dataclass(frozen=True, slots=True)
class LoopFileSystem:
    """A mounted file system and the file that it lies in."""

    kind: str
    image: Path
    mount: Path

    def copy(self, to: Path) -> Path:
        """Copy what would be on the disk if the power failed now."""
        subprocess.run(
            ["cp", "--sparse=always", "--reflink=auto", self.image, to], check=True, timeout=120
        )
        return to

    def remount(self, options: str) -> None:
        """Change the options of the mount, as ``ro``."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.mount], check=True)

    def free(self) -> int:
        """Bytes that a process may still write."""
        status = os.statvfs(self.mount)
        return status.f_bavail * status.f_frsize

    def fill(self, leave: int) -> Path:
        """Write a file that leaves so many bytes free; gives it."""
        ballast = self.mount / "ballast"
        with ballast.open("wb") as file:
            while (count := self.free() - leave) > 0:
                size = file.seek(0, os.SEEK_END)
                try:
                    os.posix_fallocate(file.fileno(), size, count)
                except OSError:  # the file's own map of blocks needs some, too
                    if leave or count < 64 << 10:
                        break
                    os.posix_fallocate(file.fileno(), size, count - (32 << 10))
        return ballast


@contextlib.contextmanager
def loop_file_system(
    folder: Path, kind: str = "ext4", size: int = 256 << 20
) -> Iterator[LoopFileSystem]:
    """Make and mount a file system of so many bytes below ``folder``; needs root."""
    need_root()
    need_program(_MAKE[kind][0])
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"{kind}.image"
    with image.open("wb") as file:
        os.truncate(file.fileno(), size)
    subprocess.run([*_MAKE[kind], image], check=True, capture_output=True)
    try:
        with mounted(image, folder / f"{kind}.mount", kind) as system:
            yield system
    finally:
        image.unlink()


@contextlib.contextmanager
def place(kind: str, folder: Path, size: int = 64 << 20) -> Iterator[Path]:
    """A directory on a file system of a kind: ``tmpfs``, ``overlay``, or one on a loop device.

    ``size`` is in bytes; XFS has more where that is too small for it, overlay what is below it.
    """
    if kind == "tmpfs":
        with _mount("tmpfs", folder / "mount", f"size={size}") as target:
            yield target
    elif kind == "overlay":
        for name in ("lower", "upper", "work"):
            (folder / name).mkdir()
        directories = ",".join(
            f"{option}={folder}/{name}"
            for option, name in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work"))
        )
        with _mount("overlay", folder / "mount", directories) as target:
            yield target
    else:
        size = max(size, SMALLEST_XFS) if kind == "xfs" else size
        with loop_file_system(folder / "loop", kind, size) as system:
            yield system.mount


@contextlib.contextmanager
def _mount(kind: str, target: Path, options: str) -> Iterator[Path]:
    need_root()
    target.mkdir()
    subprocess.run(["mount", "-t", kind, "-o", options, "none", target], check=True)
    try:
        yield target
    finally:
        unmount(target)


@contextlib.contextmanager
def mounted(image: Path, mount: Path, kind: str) -> Iterator[LoopFileSystem]:
    """Mount a file system that lies in a file, as after a crash: its journal is played back."""
    mount.mkdir(exist_ok=True)
    options = "loop,nouuid" if kind == "xfs" else "loop"
    driver = "exfat-fuse" if kind == "exfat" else kind
    words = ["mount", "-t", driver, "-o", options, str(image), str(mount)]
    subprocess.run(words, check=True, capture_output=True)
    try:
        yield LoopFileSystem(kind, image, mount)
    finally:
        unmount(mount)


def unmount(mount: Path) -> None:
    """Unmount, even where a process of a failed test is still there."""
    subprocess.run(["umount", "--recursive", mount], check=False, capture_output=True)
    if os.path.ismount(mount):
        subprocess.run(["umount", "--recursive", "--lazy", mount], check=False)
