"""The layer store, from Python: the only importer of the Rust core.

Everything about layers goes through :class:`Store`. Large data never passes through Python: the
calls take paths, file descriptors and small bytes, and give frozen results. Every call that can
take a millisecond detaches from the interpreter lock and honours Ctrl-C. This module knows
nothing of images, Dockerfiles or containers.

A *chain* is a sequence of DiffIDs (``"sha256:…"``), the base's first; it describes a tree. Paths
inside trees are bytes without a leading slash; the root is ``b""``.
"""

from __future__ import annotations

import builtins
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

try:
    from fastlayer import _core
except ImportError as error:  # the distribution named `fastlayer` shadows ours, or a broken wheel
    raise ImportError(
        "fastlayer's compiled core is missing: reinstall the distribution fastlayer-oci, and "
        "uninstall the unrelated distribution named fastlayer if it is there"
    ) from error

from fastlayer.errors import ConflictError, FastlayerError, NotFoundError, PathNotFoundError

Change = _core.Change
Context = _core.Context
CopyOperation = _core.CopyOperation
CopySource = _core.CopySource
Entry = _core.Entry
ExportedBlob = _core.ExportedBlob
LayerInfo = _core.LayerInfo
MountNamespace = _core.MountNamespace
PlainTree = _core.PlainTree
Problem = _core.Problem
Collected = _core.Collected
Usage = _core.Usage
enter_user_namespace = _core.enter_user_namespace

CORE_PATH = Path(_core.__file__)
"""The compiled core's file, for a child that loads nothing else."""

__all__ = [
    "CORE_PATH",
    "Change",
    "Collected",
    "Context",
    "CopyOperation",
    "CopySource",
    "Entry",
    "ExportedBlob",
    "LayerInfo",
    "LeftOut",
    "Lowers",
    "MountNamespace",
    "PlainTree",
    "Problem",
    "Progress",
    "Store",
    "Usage",
    "build_info",
    "default_root",
    "discard_tree",
    "disk_usage",
    "enter_user_namespace",
    "remove_tree",
]


def build_info() -> dict[str, str]:
    """The core's version, build profile and hash backends, as names and values."""
    return _core.build_info()


def default_root() -> Path:
    """Where the store is when nobody says otherwise (DESIGN.md section 1).

    ``$FASTLAYER_ROOT``; else ``/var/lib/fastlayer`` for root; else
    ``$XDG_DATA_HOME/fastlayer``.
    """
    named = os.environ.get("FASTLAYER_ROOT")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/fastlayer")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "fastlayer"


def remove_tree(path: str | os.PathLike[str]) -> None:
    """Remove a file, or a directory with all that is in it, however deep; it may be missing.

    Raises
    ------
    StoreIOError
        Something in it cannot be removed.
    """
    _core.remove_tree(os.path.abspath(path))


def disk_usage(path: str | os.PathLike[str]) -> int:
    """Bytes of disk that removing a file, or a directory with everything in it, gives back.

    Those of each file whose names are all there; nothing there is 0.

    Raises
    ------
    StoreIOError
        It cannot be read.
    """
    return _core.disk_usage(os.path.abspath(path))


def discard_tree(path: str | os.PathLike[str]) -> None:
    """Remove a directory as :func:`remove_tree` does; what cannot be removed stays, unsaid."""
    with contextlib.suppress(FastlayerError):
        remove_tree(path)


Progress = Callable[[int, int], None]
"""Called now and then while a long call is at work: bytes done, and bytes in all, 0 where that is
not known."""


class Lowers(NamedTuple):
    """What an overlay mount of a chain is stacked from.

    Parameters
    ----------
    directories:
        Lower directories, the topmost first; at least one.
    data:
        Data-only directories below them, in order; none where no file needs them.
    """

    directories: tuple[str, ...]
    data: tuple[str, ...]


class LeftOut(NamedTuple):
    """How many paths of a tree processes over it miss or see otherwise: see :meth:`Store.left_out`.

    Parameters
    ----------
    devices:
        Device nodes outside of ``/dev``.
    owners:
        Paths whose user or group does not exist here.
    attributes:
        Paths with extended attributes that cannot be set here.
    """

    devices: int
    owners: int
    attributes: int


class Store:
    """A layer store on disk.

    Any number of processes may use one store at the same time; there is no daemon.

    Parameters
    ----------
    root:
        The store's directory; :func:`default_root` where it is ``None``.
    create:
        Whether a missing store is made. Where it is false, a missing store raises
        :class:`~fastlayer.errors.NotFoundError`.

    Raises
    ------
    StoreFormatError
        The directory is not a store, or is one of a newer format.
    StoreIOError
        The directory cannot be read or made.
    ConflictError
        It belongs to somebody else, or its file system is read-only.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, *, create: bool = True) -> None:
        path = Path(root) if root is not None else default_root()
        try:
            self._core = _core.Store(os.path.abspath(path), create=create)
        except ConflictError as error:
            raise ConflictError(
                error.message, hint="name another store with --root or $FASTLAYER_ROOT"
            ) from error

    @property
    def root(self) -> Path:
        """The store's directory, absolute."""
        return Path(self._core.root)

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    # Documents and blobs.

    def put_document(self, data: bytes) -> str:
        """Keep a small document (a config, a manifest) as the bytes it has; gives its digest."""
        return self._core.put_document(data)

    def get_document(self, digest: str) -> bytes:
        """The bytes of a document.

        Raises
        ------
        NotFoundError
            No such document.
        CorruptError
            The bytes on disk do not match the digest.
        """
        return self._core.get_document(digest)

    def has_blob(self, digest: str) -> bool:
        """Whether a blob or document of that digest is on disk."""
        return self._core.has_blob(digest)

    def write_blob(self, digest: str, fd: int, *, progress: Progress | None = None) -> None:
        """Write a blob or document that is on disk, as it came, to a file descriptor.

        Raises
        ------
        NotFoundError
            No such blob.
        """
        self._core.write_blob(digest, fd, progress)

    def decompress(self, fd: int, output: int) -> None:
        """Copy a stream, plain: gzip, zstd, xz and bzip2 are recognised by content.

        Raises
        ------
        CorruptError
            The stream is truncated or damaged.
        """
        self._core.decompress(fd, output)

    # Layers in.

    def import_layer(self, fd: int, *, progress: Progress | None = None) -> LayerInfo:
        """Take a layer from a tar, plain or compressed (gzip, zstd, xz, bzip2).

        Parameters
        ----------
        fd:
            Readable file descriptor; read to its end.
        progress:
            Told the bytes read so far.

        Returns
        -------
        The layer. Its DiffID is the SHA-256 of the plain tar as given, bit for bit.

        Raises
        ------
        CorruptError
            The stream is truncated or damaged; nothing is visible in the store.
        """
        return self._core.import_layer(fd, progress)

    def import_blob(
        self,
        fd: int,
        *,
        stretch: tuple[int, int] | None = None,
        digest: str | None = None,
        diff_id: str | None = None,
        recheck: bool = False,
        progress: Progress | None = None,
    ) -> LayerInfo:
        """Take a layer blob whose digest and DiffID are known, and keep the blob as it came.

        Parameters
        ----------
        fd:
            Readable file descriptor; read to its end.
        stretch:
            Offset and size of the blob in a file: no more is read, and the descriptor's position
            neither counts nor moves.
        digest:
            What the blob must have, and is kept by.
        diff_id:
            What its plain tar must have.
        recheck:
            Read what the store has of it already, and replace what is damaged there.
        progress:
            Told the bytes read so far.

        Raises
        ------
        CorruptError
            One of the digests does not match; nothing is visible in the store.
        """
        source = fd if stretch is None else (fd, *stretch)
        return self._core.import_blob(source, digest, diff_id, progress, recheck)

    def copy_layer(
        self, base: Sequence[str], operation: CopyOperation, *, progress: Progress | None = None
    ) -> LayerInfo:
        """The layer that a COPY or ADD makes over the tree of ``base``; mounts nothing.

        Raises
        ------
        PathNotFoundError
            A literal source does not exist.
        UnsafePathError
            A source leaves its context.
        """
        return self._core.copy_layer(base, operation, progress)

    def copy_layer_keyed(
        self, base: Sequence[str], operation: CopyOperation, *, progress: Progress | None = None
    ) -> tuple[LayerInfo, str]:
        """As :meth:`copy_layer`, with the :meth:`copy_key` of just what was copied.

        Each file is read once for both.
        """
        return self._core.copy_layer_keyed(base, operation, progress)

    def directory_layer(
        self, base: Sequence[str], path: bytes, *, owner: tuple[int, int], mode: int, mtime: int
    ) -> LayerInfo | None:
        """The layer that makes a directory and its parents; ``None`` where all are there.

        ``owner`` is (uid, gid), ``mode`` permission bits, ``mtime`` seconds since the epoch.
        """
        return self._core.directory_layer(base, path, owner, mode, mtime)

    def diff_upper(
        self,
        base: Sequence[str],
        upper: str,
        *,
        adopt: bool,
        progress: Progress | None = None,
    ) -> LayerInfo:
        """The layer that an overlay upper directory makes over the tree of ``base``.

        ``adopt`` takes the upper's files over and leaves it gone: only for one that nobody
        writes again. Else its files are copied.
        """
        return self._core.diff_upper(base, upper, adopt=adopt, progress=progress)

    def lay_out(self, chain: Sequence[str], directory: str) -> PlainTree:
        """Lay the chain's tree out in an empty directory, as plain files to work in.

        Raises
        ------
        RawLayerError
            A layer of the chain is raw; the message has the parser's reason.
        """
        return self._core.lay_out(chain, directory)

    def move_plain_tree(self, tree: PlainTree, chain: Sequence[str]) -> None:
        """Make a plain tree the tree of a chain; what it has of that already stays.

        Nobody may have worked in it since :meth:`diff_plain_tree`. Where this fails the tree is of
        no use any more.
        """
        self._core.move_plain_tree(tree, chain)

    def diff_plain_tree(self, tree: PlainTree, *, progress: Progress | None = None) -> LayerInfo:
        """The layer of what was done in a plain tree, which then is the tree of one layer more.

        It is the layer that :meth:`diff_upper` gives for the same done over an overlay.
        """
        return self._core.diff_plain_tree(tree, progress)

    def empty_layer(self) -> LayerInfo:
        """The layer that changes nothing (1024 zero bytes)."""
        return self._core.empty_layer()

    def clamp_layer(self, diff_id: str, epoch: int) -> LayerInfo:
        """The layer with every mtime after ``epoch`` (seconds since 1970) set to it.

        It follows from the two alone; a layer without such a time is given back as it is.

        Raises
        ------
        NotFoundError
            No such layer.
        RawLayerError
            The layer is raw.
        """
        return self._core.clamp_layer(diff_id, epoch)

    def squash_layers(self, base: Sequence[str], chain: Sequence[str]) -> LayerInfo:
        """The one layer that makes the tree of ``chain`` out of the tree of ``base``."""
        return self._core.squash_layers(base, chain)

    # Layers out.

    def layer(self, diff_id: str) -> LayerInfo | None:
        """What is known of a layer; ``None`` where it is not in the store."""
        return self._core.layer(diff_id)

    def write_tar(self, diff_id: str, fd: int, *, progress: Progress | None = None) -> None:
        """Write the layer's plain tar, bit for bit as it came."""
        self._core.write_tar(diff_id, fd, progress)

    def export_blob(
        self,
        diff_id: str,
        *,
        codec: str,
        level: int | None = None,
        fd: int | None,
        progress: Progress | None = None,
    ) -> ExportedBlob:
        """Write the layer compressed; tells the blob's digest, size and annotations.

        The bytes depend on the tar, the codec and the level alone. A blob that was written before
        is put together from what that left, as far as it is whole.

        Parameters
        ----------
        diff_id:
            The layer.
        codec:
            ``"gzip"``, ``"zstd"``, ``"zstd:chunked"`` or ``"none"``.
        level:
            Of the codec; None is its default (gzip 6, zstd 3).
        fd:
            Where the blob goes; with None it is made, to be known and kept, and goes nowhere.
        progress:
            Told the bytes of the plain tar.

        Raises
        ------
        NotFoundError
            No such layer.
        CorruptError
            The layer is damaged.
        """
        return self._core.export_blob(diff_id, codec, level, fd, progress)

    def exported_blob(
        self, diff_id: str, *, codec: str, level: int | None = None
    ) -> ExportedBlob | None:
        """What the next :meth:`export_blob` will write, if that is known without making it.

        It is where one before wrote it, and always for the codec ``"none"``.
        """
        return self._core.exported_blob(diff_id, codec, level)

    def trim_exports(self, budget: int) -> int:
        """Remove what exports left for the next ones, the last used last, down to a budget.

        ``budget`` is in bytes of disk; gives the bytes freed.
        """
        return self._core.trim_exports(budget)

    def write_tree(
        self, chain: Sequence[str], destination: str, *, progress: Progress | None = None
    ) -> None:
        """Write the chain's merged tree as plain files below an existing directory."""
        self._core.write_tree(chain, destination, progress)

    def write_tree_tar(
        self, chain: Sequence[str], fd: int, *, progress: Progress | None = None
    ) -> None:
        """Write the chain's merged tree as one deterministic tar."""
        self._core.write_tree_tar(chain, fd, progress)

    def checkout(self, chain: Sequence[str]) -> Lowers:
        """Lay the chain out for an overlay mount, which alone may read what is there.

        Raises
        ------
        RawLayerError
            A layer of the chain is raw; the message has the parser's reason.
        """
        return Lowers(*map(tuple, self._core.checkout(chain)))

    # Trees.

    def tree_id(self, chain: Sequence[str]) -> str:
        """Merkle hash of the merged tree: names, types, modes, owners, link targets, devices,
        hardlink groups, xattrs and contents; no mtimes."""
        return self._core.tree_id(chain)

    def left_out(self, chain: Sequence[str]) -> LeftOut:
        """What of the tree an ordinary user cannot make for processes; nothing for root.

        Layers keep it all.
        """
        return LeftOut(*self._core.left_out(chain))

    def copy_key(self, operation: CopyOperation) -> str:
        """Hash of everything the operation would copy; mtimes do not count."""
        return self._core.copy_key(operation)

    def stat(self, chain: Sequence[str], path: bytes, *, follow: bool = True) -> Entry | None:
        """The entry at a path, symlinks resolved inside the tree; ``None`` where there is none."""
        return self._core.stat(chain, path, follow)

    def list(self, chain: Sequence[str], path: bytes) -> builtins.list[Entry]:
        """The children of a directory, sorted by bytes."""
        return self._core.list(chain, path)

    def walk(self, chain: Sequence[str]) -> builtins.list[Entry]:
        """Every entry of the merged tree, sorted component by component."""
        return self._core.walk(chain)

    def layer_entries(self, diff_id: str) -> builtins.list[Entry]:
        """Every entry of one layer, whiteouts included."""
        return self._core.layer_entries(diff_id)

    def read(self, chain: Sequence[str], path: bytes, *, limit: int | None = None) -> bytes:
        """The content of a small regular file; at most ``limit`` bytes are accepted.

        Raises
        ------
        PathNotFoundError
            No such file.
        LimitError
            The file is larger than ``limit``.
        """
        with self._naming(chain, path):
            return self._core.read(chain, path, limit)

    def read_to(self, chain: Sequence[str], path: bytes, fd: int) -> None:
        """Write the content of a regular file to a file descriptor.

        Raises
        ------
        PathNotFoundError
            No such file.
        """
        with self._naming(chain, path):
            self._core.read_to(chain, path, fd)

    @contextlib.contextmanager
    def _naming(self, chain: Sequence[str], path: bytes) -> Iterator[None]:
        """Tell a path that is not there from a layer that is not there."""
        try:
            yield
        except NotFoundError as error:
            if self.stat(chain, path) is None:
                raise PathNotFoundError(str(error), hint=error.hint) from error
            raise

    def compare(self, before: Sequence[str], after: Sequence[str]) -> builtins.list[Change]:
        """The differences of two trees, with their reasons."""
        return self._core.compare(before, after)

    def changes(self, base: Sequence[str], upper: str) -> builtins.list[Change]:
        """What an overlay upper directory changes over the tree of ``base``."""
        return self._core.changes(base, upper)

    # Care.

    def sync(self) -> None:
        """Return when all that was published is durable."""
        self._core.sync()

    def layers(self) -> builtins.list[str]:
        """The DiffIDs of all layers in the store, sorted."""
        return self._core.layers()

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keep what is used and made through this store from being collected, while it lasts.

        Layers and documents are meant. Something else must name them by the end, a ref as a rule.
        Leases of one store may overlap and nest. It ends with the process at the latest.
        """
        lease = self._core.lease()
        try:
            yield
        finally:
            lease.release()

    def collect(
        self,
        keep: Callable[[], Sequence[str]],
        *,
        dry_run: bool = False,
        forget_exports: bool = False,
    ) -> Collected:
        """Remove every layer and document that neither ``keep`` nor a lease names.

        Parameters
        ----------
        keep:
            Gives digests of layers and documents. It is called twice, the second time when what
            it did not name is out of sight: what it names then comes back.
        dry_run:
            Whether to tell only what would be removed now.
        forget_exports:
            Whether the compressed frames of layers that stay go, too.

        Raises
        ------
        CorruptError
            A layer that is kept is damaged; nothing was removed.
        """
        return self._core.collect(keep, dry_run=dry_run, forget_exports=forget_exports)

    def usage(self, groups: Sequence[Sequence[str]]) -> Usage:
        """The disk that the store uses, as ``du`` counts it.

        Each group has digests of layers and documents; for each the result has the bytes that it
        alone needs, those it shares with other groups, and those no group before it needs; and how
        much of that is derived: tree indexes, checkouts, and what saves left.
        """
        return self._core.usage(groups)

    def has_whole_layer(self, diff_id: str) -> bool:
        """Whether a layer is in the store with all that it lists; contents are not read."""
        return self._core.has_whole_layer(diff_id)

    def fsck(self, *, level: int = 4) -> builtins.list[Problem]:
        """Check the store; an empty list is a clean one.

        Parameters
        ----------
        level:
            How far: 1 names and what recipes list, 2 the hashes of contents and blobs as well, 3
            the tars of layers and their tree indexes as well, 4 checkouts as well.
        """
        return self._core.fsck(level)

    def repair(self) -> tuple[builtins.list[Problem], builtins.list[Problem]]:
        """Check, and make what is damaged again from what is whole.

        A layer of which something is lost for good is taken out of the store, so that loading or
        building its image puts it back. Checkouts that differ are removed: nothing may be mounted.

        Returns
        -------
        What was found, and what is still wrong.

        Raises
        ------
        ConflictError
            Others are storing layers.
        """
        return self._core.repair()
