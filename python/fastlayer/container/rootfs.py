"""A container's root file system: layers checked out, a writable upper, one overlay mount.

The caller owns the directories that hold ``upper``, ``work``, ``scaffold`` and ``rootfs``; the
mount lives in a mount namespace of ours and dies with it. Nothing of ours gets into the upper.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastlayer.container import scaffold, user_namespace
from fastlayer.container.mounts import Mount
from fastlayer.store import Entry, Lowers, MountNamespace, Store

_DEFAULT_ROOT_MODE = 0o755


def make_upper(store: Store, chain: Sequence[str], directory: Path) -> Path:
    """Make an empty ``upper`` whose own metadata is the image's root's, and ``work`` beside it."""
    upper = directory / "upper"
    upper.mkdir()
    (directory / "work").mkdir(mode=0o700)
    entry = store.stat(chain, b"") if chain else None
    if entry is None:
        os.chmod(upper, _DEFAULT_ROOT_MODE)
        os.utime(upper, (0, 0))
    else:
        user_namespace.give(upper, entry.uid, entry.gid)
        os.chmod(upper, entry.mode)
        stamp = entry.mtime[0] * 1_000_000_000 + entry.mtime[1]
        os.utime(upper, ns=(stamp, stamp))
    return upper


def mount(
    store: Store,
    namespace: MountNamespace,
    chain: Sequence[str],
    directory: Path,
    run: Path,
    mounts: Iterable[Mount],
    *,
    volatile: bool,
) -> Path:
    """Mount ``run/rootfs``: the chain's layers, the missing mount points, the upper.

    Parameters
    ----------
    store, chain:
        Where the layers are, and which, the base's first.
    namespace:
        The mount namespace that gets the mount.
    directory:
        Holds ``upper`` and ``work`` (see :func:`make_upper`).
    run:
        Gets what lives as long as the mount: ``rootfs`` and ``scaffold``.
    mounts:
        Every mount that will be made over it, in order.
    volatile:
        Whether sync may be skipped: only for an upper that a crash may lose.

    Raises
    ------
    RawLayerError
        A layer's files cannot be laid out.
    ContainerError
        A mount target cannot be one.
    """
    below = run / "scaffold"
    below.mkdir()
    root = run / "rootfs"
    root.mkdir()

    def lookup(path: bytes) -> Entry | None:
        return store.stat(chain, path, follow=False) if chain else None

    targets = [(mount.target, mount.is_directory) for mount in mounts]
    needed = scaffold.build(lookup, targets, below)
    lowers = store.checkout(chain) if chain else Lowers((), ())
    directories = lowers.directories
    if needed or not directories:
        directories = (str(below), *directories)
    upper = (str(directory / "upper"), str(directory / "work"))
    namespace.mount_overlay(directories, lowers.data, upper, str(root), volatile=volatile)
    return root


def mount_tree(
    store: Store, namespace: MountNamespace, chain: Sequence[str], directory: Path
) -> Path:
    """Mount ``directory/tree``: what is in the tree of the chain's layers, which nobody can change.

    The root directory itself has no owner and mode of the layers. ``directory`` exists, and lives
    as long as the mount. The chain is not empty.

    Raises
    ------
    RawLayerError
        A layer's files cannot be laid out.
    """
    tree, nothing = directory / "tree", directory / "nothing"
    tree.mkdir()
    nothing.mkdir()
    lowers = store.checkout(chain)
    # Without an upper, overlayfs wants two lowers. It follows stubs in the lowest one only.
    directories = (str(nothing), *lowers.directories)
    namespace.mount_overlay(directories, lowers.data, None, str(tree), volatile=False)
    return tree
