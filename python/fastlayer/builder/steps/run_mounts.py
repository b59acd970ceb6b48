"""The mounts of a RUN, made real for the time of one process.

A bind from the context, a stage or an image is copied (as entries, not bytes) into a layer of its
own, which is mounted: so the ignore rules hold, and nothing outside the store is shown. A writable
bind is a plain copy that is thrown away. Cache mounts are directories of the store. Secrets and
scripts are files in memory where there is ``/dev/shm``. Where mounts are moved into the root
instead, each is the step's own for its time and on the store's file system.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fastlayer.builder.graph import FromContext, Origin, PlannedMount, RunStep
from fastlayer.builder.ssh_agent import AgentSocket
from fastlayer.builder.workplace import Workplace
from fastlayer.cache.keys import digest
from fastlayer.cache.mounts import CacheMounts, CacheMountUse
from fastlayer.container.mounts import Mount
from fastlayer.dockerfile import BindMount, CacheMount, SecretMount, SshMount, TmpfsMount
from fastlayer.errors import BuildError
from fastlayer.store import CopyOperation, discard_tree

_MEMORY = "/dev/shm"
_TREE = b"/tree/"
_WILDCARD = re.compile(r"[*?\[\\]")
_CACHE_MODE = 0o755
_SECRET_MODE = 0o400
_AGENT_MODE = 0o600
_SCRIPT_MODE = 0o755


def mount_parts(
    mounts: Sequence[PlannedMount], workplace: Workplace
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What mounts add to a key: the content of their inputs with what to call each, and what they
    look like inside."""
    inputs = []
    names = []
    specifications = []
    for planned in mounts:
        mount, target = planned.mount, planned.target
        if isinstance(mount, BindMount | CacheMount) and planned.origin is not None:
            operation = _operation(planned.origin, mount.source, workplace)
            inputs.append(workplace.store.copy_key(operation))
            names.append(f"what is mounted at {target}")
        match mount:
            case BindMount():
                kind = _is_file(planned.origin or FromContext(), mount.source, workplace)
                specifications.append(f"bind {target} {mount.read_only} {kind}")
            case CacheMount():
                specifications.append(f"cache {target} {mount.read_only}")
            case TmpfsMount():
                specifications.append(f"tmpfs {target} {mount.size}")
            case SecretMount():
                given = mount.id in workplace.secrets
                owner = f"{mount.mode} {mount.uid} {mount.gid}"
                specifications.append(f"secret {mount.id} {target} {mount.env} {owner} {given}")
            case SshMount():
                given = mount.id in workplace.agents
                owner = f"{mount.mode} {mount.uid} {mount.gid}"
                specifications.append(f"ssh {mount.id} {target} {owner} {given}")
    return tuple(inputs), tuple(names), tuple(specifications)


class MountSet:
    """The mounts of one running step; a context manager that removes what it made.

    Parameters
    ----------
    step:
        The step.
    chain:
        The layers it runs over.
    workplace:
        The build's things.
    """

    def __init__(self, step: RunStep, chain: tuple[str, ...], workplace: Workplace) -> None:
        self._step = step
        self._chain = chain
        self._workplace = workplace
        self._cleanup = contextlib.ExitStack()
        self._memory: Path | None = None
        self._moved = workplace.runner().moves_binds
        self._uses: dict[str, CacheMountUse] = {}
        self._claimed: dict[str, Path] = {}
        self.mounts: tuple[Mount, ...] = ()
        """For the runner, in order."""
        self.environment: dict[str, str] = {}
        """Secrets as variables."""

    def __enter__(self) -> MountSet:
        with contextlib.ExitStack() as undo:
            undo.callback(self._cleanup.close)
            made = [mount for planned in self._step.mounts for mount in self._make(planned)]
            if self._step.script is not None:
                script = self._step.script
                path = self._memory_file(script.name, script.content, _SCRIPT_MODE, 0, 0)
                made.append(_file_mount(path, f"/dev/pipes/{script.name}"))
            self.mounts = tuple(made)
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def _make(self, planned: PlannedMount) -> list[Mount]:
        match planned.mount:
            case BindMount():
                return [self._bind(planned, planned.mount)]
            case CacheMount():
                return [self._cache(planned, planned.mount)]
            case TmpfsMount():
                size = (f"size={planned.mount.size}",) if planned.mount.size else ()
                return [Mount("tmpfs", planned.target, options=("nosuid", "nodev", *size))]
            case SecretMount():
                return self._secret(planned, planned.mount)
            case SshMount():
                return self._agent(planned, planned.mount)
        raise BuildError(f"{self._step.place}: a mount of this type is not supported")

    def _bind(self, planned: PlannedMount, mount: BindMount) -> Mount:
        origin = planned.origin or FromContext()
        is_file = _is_file(origin, mount.source, self._workplace)
        tree = self._tree(origin, mount.source, writable=self._moved or not mount.read_only)
        source = tree / posixpath.basename(mount.source.rstrip("/")) if is_file else tree
        return Mount(
            "bind",
            planned.target,
            str(source),
            read_only=mount.read_only,
            is_directory=not is_file,
        )

    def _tree(self, origin: Origin, source: str, *, writable: bool) -> Path:
        """A directory on disk with the files of an origin."""
        store = self._workplace.store
        layer = store.copy_layer((), _operation(origin, source, self._workplace))
        inside = os.fsdecode(_TREE.strip(b"/"))
        if not writable:
            tree = self._workplace.runner().tree([layer.diff_id])
            return self._cleanup.enter_context(tree) / inside
        copy = Path(tempfile.mkdtemp(prefix="bind-", dir=self._staging()))
        self._cleanup.callback(discard_tree, copy)
        store.write_tree([layer.diff_id], str(copy))
        return copy / inside

    def _cache(self, planned: PlannedMount, mount: CacheMount) -> Mount:
        identity = self._cache_identity(planned, mount)
        use = self._uses.get(identity)
        if use is None:
            use = self._uses[identity] = CacheMounts(self._workplace.store.root).use(identity)
            self._cleanup.callback(use.close)
        place = None if mount.sharing == "private" else self._claimed.get(identity)
        if self._moved:
            self._require_movable(mount, planned.target, is_first=place is None)
        if place is None:
            place = self._claimed[identity] = use.place(mount.sharing, alone=self._moved)
        tree = place / "tree"
        if not tree.exists():
            self._fill_cache(place, tree, planned, mount)
        return Mount("bind", planned.target, str(tree), read_only=mount.read_only)

    def _require_movable(self, mount: CacheMount, target: str, *, is_first: bool) -> None:
        """Refuse what only a mount can do."""
        what = "a read-only cache" if mount.read_only else "one cache at two places"
        if mount.read_only or not is_first:
            raise BuildError(
                f"{self._step.place}: {target}: {what} needs mounts, and this machine refuses them"
            )

    def _cache_identity(self, planned: PlannedMount, mount: CacheMount) -> str:
        """What tells one cache from another: its id, and what a new one would begin as."""
        name = mount.id or planned.target
        namespace = self._workplace.cache_namespace
        words = [f"{namespace}/{name}" if namespace else name]
        start = (mount.uid or 0, mount.gid or 0, _mode_of(mount))
        if start != (0, 0, _CACHE_MODE):
            words.append("uid={} gid={} mode={:04o}".format(*start))
        if planned.origin is not None:
            operation = _operation(planned.origin, mount.source, self._workplace)
            words.append(f"from={self._workplace.store.copy_key(operation)}")
        return " ".join(words)

    def _fill_cache(
        self, place: Path, tree: Path, planned: PlannedMount, mount: CacheMount
    ) -> None:
        new = Path(tempfile.mkdtemp(prefix="new-", dir=place))
        self._cleanup.callback(discard_tree, new)
        root = new
        if planned.origin is not None:
            store = self._workplace.store
            operation = _operation(planned.origin, mount.source, self._workplace)
            store.write_tree([store.copy_layer((), operation).diff_id], str(new))
            root = new / os.fsdecode(_TREE.strip(b"/"))
        os.chmod(root, _mode_of(mount))
        os.chown(root, mount.uid or 0, mount.gid or 0)
        with contextlib.suppress(FileExistsError, OSError):
            # Where another build was faster, its directory stays.
            os.rename(root, tree)

    def _secret(self, planned: PlannedMount, mount: SecretMount) -> list[Mount]:
        secret = self._workplace.secrets.get(mount.id)
        if secret is None:
            return []
        if mount.env:
            self.environment[mount.env] = secret.content.decode("utf-8", "surrogateescape")
        if not planned.target:
            return []
        mode = _SECRET_MODE if mount.mode is None else mount.mode
        path = self._memory_file(mount.id, secret.content, mode, mount.uid or 0, mount.gid or 0)
        return [_file_mount(path, planned.target)]

    def _agent(self, planned: PlannedMount, mount: SshMount) -> list[Mount]:
        agent = self._workplace.agents.get(mount.id)
        if agent is None:
            return []
        memory = self._memory_directory()
        path = memory / f"agent.{len(list(memory.iterdir()))}"
        mode = _AGENT_MODE if mount.mode is None else mount.mode
        made = AgentSocket(agent, path, mode=mode, uid=mount.uid or 0, gid=mount.gid or 0)
        self._cleanup.callback(made.close)
        self.environment.setdefault("SSH_AUTH_SOCK", planned.target)
        return [Mount("bind", planned.target, str(path), is_directory=False)]

    def _memory_directory(self) -> Path:
        if self._memory is None:
            in_memory = os.access(_MEMORY, os.W_OK) and not self._moved
            below = _MEMORY if in_memory else str(self._staging())
            self._memory = Path(tempfile.mkdtemp(prefix="fastlayer-", dir=below))
            self._cleanup.callback(discard_tree, self._memory)
        return self._memory

    def _memory_file(self, name: str, content: bytes, mode: int, uid: int, gid: int) -> Path:
        memory = self._memory_directory()
        path = memory / digest(b"memory file", [(name, str(len(list(memory.iterdir()))))])
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        return path

    def _staging(self) -> Path:
        staging = self._workplace.store.root / "staging"
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        return staging


def _mode_of(mount: CacheMount) -> int:
    return _CACHE_MODE if mount.mode is None else mount.mode


def _file_mount(path: Path, target: str) -> Mount:
    return Mount("bind", target, str(path), read_only=True, is_directory=False)


def _operation(origin: Origin, source: str, workplace: Workplace) -> CopyOperation:
    """The copy of a mount's files below ``/tree``."""
    literal = _WILDCARD.sub(r"\\\g<0>", source) or "/"
    return CopyOperation([workplace.source(origin, literal)], _TREE)


def _is_file(origin: Origin, source: str, workplace: Workplace) -> bool:
    """Whether a mount's source is a file. That it exists was found out with its key."""
    chain = workplace.chain(origin)
    path = posixpath.normpath("/" + source).lstrip("/")
    if chain is not None:
        entry = workplace.store.stat(chain, path.encode("utf-8", "surrogateescape"))
        return entry is not None and entry.kind != "directory"
    root = workplace.files(origin).root
    return root is not None and not os.path.isdir(os.path.join(root, path))
