"""Types of the Rust core. Only ``fastlayer.store`` and the sandbox child import it."""

import builtins
from collections.abc import Callable, Sequence
from typing import final

_Progress = Callable[[int, int], None]  # bytes done, and in all (0: not known)

__version__: str

def build_info() -> dict[str, str]: ...
def serve_sandbox(socket: int) -> None:
    """For the sandbox's child alone: fork a supervisor for every task that the socket brings."""

def remove_tree(path: str) -> None:
    """Removes a file, or a directory with all that is in it; nothing there is no error."""

def disk_usage(path: str) -> int:
    """Bytes of disk that removing a file, or a directory with all that is in it, gives back."""

def enter_user_namespace() -> None:
    """Move this process, which must have one thread, into a new user namespace without maps.

    Raises OSError.
    """

@final
class LayerInfo:
    """What is known of a stored layer."""

    diff_id: str  # "sha256:…" of the plain tar
    size: int  # bytes of the plain tar
    content_size: int  # sum of file contents, bytes (docker history's SIZE)
    entries: int
    raw_reason: str | None  # why the parser refused it (raw layer), else None
    added_bytes: int  # bytes this call added to the store

@final
class Entry:
    """One path of a tree. ``path`` has no leading or trailing slash; the root is ``b""``."""

    path: bytes
    kind: str  # "file" "directory" "symlink" "char" "block" "fifo"; in a layer also "whiteout"
    mode: int  # permission bits, 0o7777
    uid: int
    gid: int
    mtime: tuple[int, int]  # seconds, nanoseconds
    size: int
    link: bytes  # symlink target, else b""
    hardlink: bytes  # first path of its hardlink group, else b""
    device: tuple[int, int]
    xattrs: dict[bytes, bytes]
    content: str  # hex BLAKE3 of a file's content, else ""

@final
class Change:
    """One difference of two trees: ``kind`` is "A", "C" or "D"; a C has ``reasons``."""

    kind: str
    path: bytes
    reasons: tuple[str, ...]

@final
class ExportedBlob:
    """What an export gave, or will give."""

    digest: str  # "sha256:…" of the blob
    size: int  # its bytes
    annotations: dict[str, str]  # of its descriptor in a manifest

@final
class Collected:
    """What a collection removed, or would remove."""

    freed: int  # bytes of disk
    layers: builtins.list[str]
    blobs: builtins.list[str]
    objects: int
    segments: int
    postponed: bool  # contents stayed, since layers were being made all the time

@final
class GroupUsage:
    """The disk that one group uses, in bytes."""

    unique: int  # needed by it alone
    shared: int  # needed by it and by others
    added: int  # needed by no group before it
    derived: int  # the part of unique and shared that is made of the rest when needed
    exports: int  # the part of derived that exports have left

@final
class Usage:
    """The disk that a store uses, in bytes."""

    total: int
    unused: int  # contents, layers and blobs that no group needs
    places: dict[str, int]  # by the store's directories
    groups: builtins.list[GroupUsage]

@final
class Lease:
    """Keeps what is used and made from being collected until it is released."""

    def release(self) -> None: ...

@final
class PlainTree:
    """A chain's tree laid out as plain files, for steps to work in."""

    @property
    def chain(self) -> builtins.list[str]: ...
    def place(self, points: Sequence[tuple[bytes, bool]]) -> None:
        """Makes mount points that are missing: paths, and whether each is a directory."""
    def put(self, path: bytes, source: str, aside: str) -> None:
        """Moves ``source`` to a path of the tree, and what is there to ``aside``."""
    def remove_placed(self) -> None:
        """Removes what was made, unless the step made it its own; moves back what was moved."""

@final
class Problem:
    """One finding of fsck."""

    what: str  # "object" "segment" "recipe" "tree" "checkout" "blob" "name" "layer"
    name: str
    detail: str

@final
class CopySource:
    """One source of a COPY or ADD, in one of four forms; see the static constructors."""

    @staticmethod
    def context(context: Context, pattern: bytes) -> CopySource:
        """A path or Go wildcard, relative to the context; ``../`` and ``/`` heads are dropped."""
    @staticmethod
    def tree(chain: Sequence[str], pattern: bytes) -> CopySource:
        """A path or Go wildcard in a tree (COPY --from)."""
    @staticmethod
    def inline(name: bytes, content: bytes, mode: int = 0o644) -> CopySource:
        """A heredoc."""
    @staticmethod
    def file(path: str, name: bytes, mode: int, mtime: int, unpack: bool = False) -> CopySource:
        """A downloaded file; ``unpack``: whether it is, where the operation unpacks archives."""

@final
class CopyOperation:
    """A whole COPY or ADD instruction, all words expanded and owners numeric."""

    def __new__(
        cls,
        sources: Sequence[CopySource],
        destination: bytes,  # absolute, cleaned; trailing "/" means: it is a directory
        *,
        owner: tuple[int, int] | None = None,
        mode: str | None = None,  # octal text as in --chmod; None keeps
        exclude: Sequence[str] = ...,  # .dockerignore patterns relative to each source
        parents: bool = False,
        unpack: bool = False,  # ADD of local archives: by content
        link: bool = False,  # destination symlinks are not followed
    ) -> CopyOperation: ...

@final
class Context:
    """A build context on disk, seen through its ignore rules."""

    def __new__(cls, root: str, patterns: Sequence[str] = ..., cache: str | None = None) -> Context:
        """``cache``: the stat cache's file, or None."""
    root: str
    def read(self, path: bytes) -> bytes: ...
    def is_ignored(self, path: bytes) -> bool:
        """Whether the ignore rules leave a path out; it need not exist."""
    def save(self) -> None:
        """Write the stat cache."""

@final
class Store:
    """A layer store; opened for the life of the object. A chain is DiffIDs, the base's first."""

    def __new__(cls, root: str, *, create: bool = True) -> Store: ...
    root: str

    # documents and blobs
    def put_document(self, data: bytes) -> str: ...
    def get_document(self, digest: str) -> bytes: ...
    def has_blob(self, digest: str) -> bool: ...
    def write_blob(self, digest: str, fd: int, progress: _Progress | None = None) -> None:
        """A blob or document that is on disk, as it came; NotFoundError where it is not."""
    def decompress(self, fd: int, output: int) -> None:
        """Copy a stream to ``output`` plain: gzip, zstd, xz, bzip2 (by content), or as it is."""

    # layers in
    def import_layer(self, fd: int, progress: _Progress | None = None) -> LayerInfo:
        """A plain or compressed tar; the DiffID is of the plain bytes as given."""
    def import_blob(
        self,
        source: int | tuple[int, int, int],
        digest: str | None,
        diff_id: str | None,
        progress: _Progress | None = None,
        recheck: bool = False,
    ) -> LayerInfo:
        """A layer blob; both digests, where given, are verified before anything is visible.

        A tuple is a stretch of a file: descriptor, offset, size.
        """
    def copy_layer(
        self, base: Sequence[str], operation: CopyOperation, progress: _Progress | None = None
    ) -> LayerInfo: ...
    def copy_layer_keyed(
        self, base: Sequence[str], operation: CopyOperation, progress: _Progress | None = None
    ) -> tuple[LayerInfo, str]:
        """The layer, and the key of what was copied; each file is read once for both."""
    def directory_layer(
        self, base: Sequence[str], path: bytes, owner: tuple[int, int], mode: int, mtime: int
    ) -> LayerInfo | None:
        """WORKDIR: makes the directories that are missing; None where there is nothing to make."""
    def diff_upper(
        self,
        base: Sequence[str],
        upper: str,
        *,
        adopt: bool,
        progress: _Progress | None = None,
    ) -> LayerInfo:
        """The layer that an overlay upper makes over ``base``. ``adopt`` takes its files over (the
        upper is gone afterwards): only for an upper that nobody writes again. Else it is copied."""
    def lay_out(self, chain: Sequence[str], directory: str) -> PlainTree: ...
    def move_plain_tree(self, tree: PlainTree, chain: Sequence[str]) -> None: ...
    def diff_plain_tree(self, tree: PlainTree, progress: _Progress | None = None) -> LayerInfo: ...
    def empty_layer(self) -> LayerInfo: ...
    def clamp_layer(self, diff_id: str, epoch: int) -> LayerInfo:
        """The layer with every mtime after ``epoch`` (seconds) set to it."""
    def squash_layers(self, base: Sequence[str], chain: Sequence[str]) -> LayerInfo:
        """The one layer that makes the tree of ``chain`` out of the tree of ``base``."""

    # layers out
    def layer(self, diff_id: str) -> LayerInfo | None: ...
    def write_tar(self, diff_id: str, fd: int, progress: _Progress | None = None) -> None: ...
    def export_blob(
        self,
        diff_id: str,
        codec: str,
        level: int | None,
        fd: int | None,
        progress: _Progress | None = None,
    ) -> ExportedBlob:
        """Compressed ("gzip" "zstd" "zstd:chunked" "none") into fd, or nowhere with None."""
    def exported_blob(
        self, diff_id: str, codec: str, level: int | None = None
    ) -> ExportedBlob | None:
        """What the next export gives, if that is known without making it."""
    def trim_exports(self, budget: int) -> int:
        """Removes compressed frames until the last used ones have so many bytes; bytes freed."""
    def write_tree(
        self, chain: Sequence[str], destination: str, progress: _Progress | None = None
    ) -> None:
        """The merged tree as plain files below an existing directory (-o type=local)."""
    def write_tree_tar(
        self, chain: Sequence[str], fd: int, progress: _Progress | None = None
    ) -> None:
        """The merged tree as one tar (-o type=tar, export)."""
    def checkout(self, chain: Sequence[str]) -> tuple[list[str], list[str]]:
        """Overlay lower directories, the topmost first, and the data-only ones below them."""

    # trees
    def tree_id(self, chain: Sequence[str]) -> str: ...
    def left_out(self, chain: Sequence[str]) -> tuple[int, int, int]:
        """Paths that a checkout cannot have as they are: devices, owners, attributes."""
    def copy_key(self, operation: CopyOperation) -> str:
        """Content key of all that the operation would copy; mtimes do not count."""
    def stat(self, chain: Sequence[str], path: bytes, follow: bool = True) -> Entry | None: ...
    def list(self, chain: Sequence[str], path: bytes) -> builtins.list[Entry]: ...
    def walk(self, chain: Sequence[str]) -> builtins.list[Entry]: ...
    def layer_entries(self, diff_id: str) -> builtins.list[Entry]: ...
    def read(self, chain: Sequence[str], path: bytes, limit: int | None = None) -> bytes: ...
    def read_to(self, chain: Sequence[str], path: bytes, fd: int) -> None: ...
    def compare(self, before: Sequence[str], after: Sequence[str]) -> builtins.list[Change]: ...
    def changes(self, base: Sequence[str], upper: str) -> builtins.list[Change]:
        """What an upper directory changes (fastlayer diff CONTAINER)."""

    # care
    def sync(self) -> None:
        """All that was published is durable when this returns."""
    def layers(self) -> builtins.list[str]: ...
    def lease(self) -> Lease:
        """Keeps what is used and made through this store from being collected."""
    def collect(
        self,
        keep: Callable[[], Sequence[str]],
        *,
        dry_run: bool = False,
        forget_exports: bool = False,
    ) -> Collected:
        """Garbage collection of layers and documents. ``keep`` is called twice, the second time
        when what it did not name is out of sight: what it names then comes back."""
    def usage(self, groups: Sequence[Sequence[str]]) -> Usage:
        """The disk that the store uses, and each group of layers and documents of it."""
    def has_whole_layer(self, diff_id: str) -> bool: ...
    def fsck(self, level: int) -> builtins.list[Problem]: ...
    def repair(self) -> tuple[builtins.list[Problem], builtins.list[Problem]]:
        """Makes what is damaged again from what is whole: what was found, and what is left."""

@final
class MountNamespace:
    """A thread of this process in a mount namespace of its own; its mounts die with it."""

    def __new__(cls) -> MountNamespace: ...
    def mount_overlay(
        self,
        lowers: Sequence[str],
        data: Sequence[str],
        upper: tuple[str, str] | None,
        target: str,
        *,
        volatile: bool,
    ) -> None:
        """``upper`` is the upper directory and its work directory; None mounts read-only."""
    def unmount(self, target: str) -> None: ...
    def spawn(
        self,
        argv: Sequence[bytes],
        *,
        env: Sequence[bytes],
        cwd: str,
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> int:
        """A child in the namespace, in its own session; gives its pid (for os.waitpid)."""
    def close(self) -> None: ...
