"""Mount points that an image lacks, as one more lower directory of the overlay.

A runtime makes missing mount points in the root file system; they would land in the upper and
so in the layer. Here they are in a lower of their own instead: the upper stays untouched, its
parents' times too, and nothing has to be removed afterwards. Directories that the image does
have appear in it with the image's own metadata, since the topmost lower decides what shows.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container.user_namespace import give
from fastlayer.errors import ContainerError
from fastlayer.store import Entry

Lookup = Callable[[bytes], Entry | None]
"""Finds the entry at exactly a path (no links followed); ``b""`` is the root."""

_MAXIMUM_LINKS = 40
_NEW_DIRECTORY_MODE = 0o755


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Where a mount will land: links resolved inside the tree; ``existing`` leading components."""

    components: tuple[bytes, ...]
    existing: int
    is_directory: bool

    @property
    def is_missing(self) -> bool:
        """Whether the tree lacks it."""
        return self.existing < len(self.components)


def resolve(lookup: Lookup, target: str, *, is_directory: bool) -> MountPoint:
    """Resolve a mount target in a tree as the runtime will, every link followed inside it.

    Raises
    ------
    ContainerError
        The target goes through something that is no directory, or through too many links.
    """
    pending = deque(os.fsencode(target).split(b"/"))
    current: list[bytes] = []
    links = 0
    existing = 0
    while pending:
        component = pending.popleft()
        if component in {b"", b"."}:
            continue
        if component == b"..":
            current = current[:-1]
            existing = min(existing, len(current))
            continue
        entry = lookup(b"/".join([*current, component])) if existing == len(current) else None
        if entry is not None and entry.kind == "symlink":
            links += 1
            if links > _MAXIMUM_LINKS:
                raise ContainerError(f"mount target {target}: too many symbolic links")
            if entry.link.startswith(b"/"):
                current, existing = [], 0
            pending.extendleft(reversed(entry.link.split(b"/")))
            continue
        current.append(component)
        if entry is None:
            continue
        existing = len(current)
        if entry.kind != "directory" and (is_directory or any(pending)):
            raise ContainerError(f"mount target {target} is not a directory in the image")
        if entry.kind == "directory" and not is_directory and not any(pending):
            raise ContainerError(f"mount target {target} is a directory in the image")
    return MountPoint(tuple(current), existing, is_directory)


def missing_points(lookup: Lookup, targets: Iterable[tuple[str, bool]]) -> list[MountPoint]:
    """The mount points that a tree lacks, and that no other mount will have.

    Parameters
    ----------
    lookup, targets:
        As for :func:`build`.
    """
    covered: set[tuple[bytes, ...]] = set()
    missing = []
    for point in [resolve(lookup, target, is_directory=kind) for target, kind in targets]:
        # A target below another mount is made inside that mount, not in the root.
        inside = any(point.components[:depth] in covered for depth in range(len(point.components)))
        covered.add(point.components)
        if point.is_missing and not inside:
            missing.append(point)
    return missing


def build(lookup: Lookup, targets: Iterable[tuple[str, bool]], directory: Path) -> bool:
    """Make the missing mount points below an empty directory.

    Parameters
    ----------
    lookup:
        The tree that the mounts go over.
    targets:
        Mount targets in mounting order, and whether each is a directory.
    directory:
        Where they are made.

    Returns
    -------
    Whether anything was missing; else the directory is still empty and needs no mount.
    """
    known: dict[tuple[bytes, ...], Entry | None] = {}
    for point in missing_points(lookup, targets):
        _add(lookup, point, directory, known)
    for components in sorted(known, key=len, reverse=True):
        _finish(directory / os.fsdecode(b"/".join(components)), known[components])
    return bool(known)


def _add(
    lookup: Lookup,
    point: MountPoint,
    directory: Path,
    known: dict[tuple[bytes, ...], Entry | None],
) -> None:
    for depth in range(1, len(point.components) + 1):
        components = point.components[:depth]
        if components in known:
            continue
        path = b"/".join(components)
        place = directory / os.fsdecode(path)
        if depth == len(point.components) and not point.is_directory:
            place.touch(mode=0o644)
        else:
            place.mkdir(mode=_NEW_DIRECTORY_MODE)
        known[components] = lookup(path) if depth <= point.existing else None


def _finish(place: Path, entry: Entry | None) -> None:
    """Give a directory the image's metadata, or a made one fixed times: after its children."""
    if entry is None:
        os.utime(place, (0, 0))
        return
    give(place, entry.uid, entry.gid)
    os.chmod(place, entry.mode)
    for name, value in entry.xattrs.items():
        # What the store's file system cannot hold is not on the checked-out directory either.
        with contextlib.suppress(OSError):
            os.setxattr(place, name, value)
    stamp = entry.mtime[0] * 1_000_000_000 + entry.mtime[1]
    os.utime(place, ns=(stamp, stamp))
