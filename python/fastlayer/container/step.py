"""One RUN of a build: a process over a chain of layers, whose changes become the next layer.

Invariants: a workspace holds what the process changed and nothing of ours; every process is gone
and the mount undone before the workspace is handed over; a step that was interrupted leaves no
process and no file. One runner serves one build, from any number of threads. It knows nothing
of Dockerfiles, caches or images.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import secrets
import selectors
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from fastlayer.container import capabilities, network
from fastlayer.container.drivers import Launcher, Running, StepDriver, find_step_driver
from fastlayer.container.mounts import DEFAULT_SHM_SIZE, Mount
from fastlayer.container.process import capability_mask, resolve_user, unified_cgroups
from fastlayer.container.spec import ProcessSpec, Ulimit, runtime_config
from fastlayer.container.user import ResolvedUser
from fastlayer.container.workspaces import Workspace, Workspaces, find_workspaces
from fastlayer.container.workspaces.emplaced import require_host_network
from fastlayer.errors import ContainerError, FastlayerError, Interrupted
from fastlayer.store import LayerInfo, MountNamespace, Progress, Store, remove_tree

Output = Callable[[int, bytes], None]
"""Gets what the process writes, as it comes: 1 for stdout, 2 for stderr, and the bytes."""

_PREFIX = "steps-"
_USER_FILES = (b"etc/passwd", b"etc/group")
_CHUNK = 65536
_LOOK_SECONDS = 0.1
"""How long output is waited for at a time."""

DEFAULT_HOSTNAME = "buildkitsandbox"
"""The host's name in a step, as BuildKit has it."""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """What a RUN starts.

    Parameters
    ----------
    args:
        The program and its arguments.
    env:
        ``NAME=value``; ``PATH`` and ``HOME`` are set where they are missing.
    cwd:
        Absolute working directory.
    user:
        ``USER``'s text, looked up in the chain's own files; empty is root.
    network:
        ``default``, ``host`` or ``none``.
    mounts:
        Further mounts, in order.
    extra_hosts:
        (name, address) pairs for the hosts file.
    shm_size:
        Bytes of ``/dev/shm``.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    network: str = "default"
    mounts: tuple[Mount, ...] = ()
    hostname: str = DEFAULT_HOSTNAME
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = DEFAULT_SHM_SIZE
    ulimits: tuple[Ulimit, ...] = ()
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class StepResult:
    """How a step ended; the caller takes its layer, or does not, and then discards."""

    exit_code: int
    workspace: Workspace = field(repr=False)
    directory: Path = field(repr=False)

    def diff(self, progress: Progress | None = None) -> LayerInfo:
        """The layer of what the process changed; at most once."""
        return self.workspace.diff(progress)


class StepRunner:
    """Runs the steps of one build.

    A context manager; leaving it kills what still runs and removes every working directory. The
    runtime and the mount namespace are taken at the first step, so that a build without RUN
    needs neither.

    Parameters
    ----------
    store:
        Where layers are checked out; working directories are below it.
    driver:
        The runtime; found on this machine where it is ``None``.
    """

    def __init__(self, store: Store, *, driver: StepDriver | None = None) -> None:
        self._store = store
        self._driver = driver
        self._lock = threading.Lock()
        self._namespace: MountNamespace | None = None
        self._launcher: Launcher | None = None
        self._workspaces: Workspaces | None = None
        self._home: Path | None = None
        self._home_lock = -1
        self._active: set[Running] = set()
        self._cancelled = False
        self._removals: _Removals | None = None
        self._users: dict[tuple[str, str, str], ResolvedUser] = {}

    def __enter__(self) -> StepRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, chain: Sequence[str], spec: StepSpec, output: Output) -> StepResult:
        """Run a process over the chain's tree and wait for it.

        Parameters
        ----------
        chain:
            DiffIDs, the base's first; empty for ``FROM scratch``.
        spec:
            What to start.
        output:
            Called on this thread with what the process writes.

        Raises
        ------
        ContainerError
            The process could not be started (its ``exit_code`` is 126 or 127 where the program
            is the reason), or the user is unknown.
        RuntimeMissingError
            No runtime works here.
        Interrupted
            :meth:`cancel` was called.
        """
        place = self._ready()
        identifier = secrets.token_hex(8)
        directory = place.home / identifier
        directory.mkdir(mode=0o700)
        workspace = None
        try:
            process = self._process_spec(chain, spec, directory, identifier)
            workspace = place.workspaces.prepare(chain, directory, process.all_mounts())
            try:
                code = self._execute(place, directory, process, workspace.root, output)
            finally:
                workspace.leave()
        except BaseException:
            if workspace is not None:
                workspace.dispose()
            _remove(directory)
            raise
        return StepResult(code, workspace, directory)

    @property
    def is_isolated(self) -> bool:
        """Whether processes get namespaces of their own, and so are kept apart from the machine."""
        return self._ready().driver.uses_namespaces

    @property
    def moves_binds(self) -> bool:
        """Whether bind mounts are moved instead of mounted: see
        :class:`fastlayer.container.workspaces.Workspaces`.
        """
        return self._ready().workspaces.moves_binds

    @contextlib.contextmanager
    def tree(self, chain: Sequence[str]) -> Iterator[Path]:
        """The tree of the chain where steps see it: what they may bind, read-only.

        Parameters
        ----------
        chain:
            DiffIDs, the base's first; not empty.
        """
        place = self._ready()
        directory = place.home / secrets.token_hex(8)
        directory.mkdir(mode=0o700)
        try:
            with place.workspaces.tree(chain, directory) as tree:
                yield tree
        finally:
            self._remove_soon(directory)

    def discard(self, result: StepResult) -> None:
        """Remove what is left of a step, its layer taken or not; may return before that is done."""
        result.workspace.dispose()
        self._remove_soon(result.directory)

    def _remove_soon(self, directory: Path) -> None:
        with self._lock:
            if self._home is None:
                return  # closed: all is removed
            if self._removals is None:
                self._removals = _Removals()
            self._removals.add(directory)

    def cancel(self) -> None:
        """Kill every running step, from any thread; their :meth:`run` raises Interrupted."""
        with self._lock:
            self._cancelled = True
            active = set(self._active)
        for running in active:
            running.kill()

    def close(self) -> None:
        """Kill what runs, undo the mounts, remove the working directories."""
        self.cancel()
        with self._lock:
            namespace, self._namespace = self._namespace, None
            launcher, self._launcher = self._launcher, None
            home, self._home = self._home, None
            removals, self._removals = self._removals, None
            lock, self._home_lock = self._home_lock, -1
        if removals is not None:
            removals.finish()
        if launcher is not None:
            launcher.close()
        if namespace is not None:
            namespace.close()
        if home is not None:
            _remove(home)
        if lock >= 0:
            os.close(lock)
        if home is not None:
            _remove(home)  # some file systems keep the name of an open file

    def _ready(self) -> _Place:
        with self._lock:
            if self._cancelled:
                raise Interrupted("the build was stopped")
            if self._driver is None:
                self._driver = find_step_driver(self._store.root / "runtime")
            if self._launcher is None or self._workspaces is None or self._home is None:
                staging = self._store.root / "staging"
                _sweep(staging, self._driver)
                self._home, self._home_lock = _make_home(staging)
                if self._driver.uses_namespaces:
                    self._namespace = MountNamespace()
                self._launcher = self._driver.launcher(self._namespace)
                self._workspaces = find_workspaces(self._store, self._namespace, self._home)
            return _Place(self._driver, self._launcher, self._workspaces, self._home)

    def _process_spec(
        self, chain: Sequence[str], spec: StepSpec, directory: Path, identifier: str
    ) -> ProcessSpec:
        kind = network.effective_network(spec.network)
        if self._namespace is None:
            require_host_network(kind)
        files = network.write_files(directory, spec.hostname, kind, spec.extra_hosts)
        chosen = capabilities.ALL if spec.privileged else capabilities.DEFAULT
        return ProcessSpec(
            arguments=spec.args,
            environment=spec.env,
            working_directory=spec.cwd,
            user=self._user(chain, spec.user),
            hostname=spec.hostname,
            cgroup=f"/fastlayer/{identifier}",
            network=kind,
            mounts=(*files, *spec.mounts),
            capabilities=capabilities.within(chosen, capability_mask()),
            privileged=spec.privileged,
            shm_size=spec.shm_size,
            ulimits=spec.ulimits,
            cgroup_namespace=unified_cgroups(),
        )

    def _user(self, chain: Sequence[str], text: str) -> ResolvedUser:
        """As :func:`resolve_user`; files with the same content are read once."""
        contents = [_content_id(self._store, chain, path) for path in _USER_FILES]
        key = (text, contents[0], contents[1])
        if key not in self._users:
            self._users[key] = resolve_user(self._store, chain, text)
        return self._users[key]

    def _execute(
        self, place: _Place, directory: Path, process: ProcessSpec, root: Path, output: Output
    ) -> int:
        config = runtime_config(process, str(root), filter_calls=place.driver.filters_calls)
        with _Pipes() as pipes:
            running = place.launcher.start(directory, directory.name, config, pipes.inner)
            pipes.close_inner()
            with self._lock:
                self._active.add(running)
                cancelled = self._cancelled
            try:
                if cancelled:
                    raise Interrupted("the build was stopped")
                _pump(pipes.outer, output)
                code = running.wait()
            except BaseException:
                running.kill()
                with contextlib.suppress(ContainerError, ChildProcessError):
                    running.wait()
                raise
            finally:
                with self._lock:
                    self._active.discard(running)
        if self._cancelled:
            raise Interrupted("the build was stopped")
        return code


@dataclass(frozen=True, slots=True)
class _Place:
    """What all steps of a runner share."""

    driver: StepDriver
    launcher: Launcher
    workspaces: Workspaces
    home: Path


class _Pipes:
    """A process's standard streams: no input, and pipes whose other ends are ``outer``."""

    def __init__(self) -> None:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        out_read, out_write = os.pipe()
        error_read, error_write = os.pipe()
        self.inner = (null, out_write, error_write)
        self.outer = (out_read, error_read)
        self._open = [*self.inner, *self.outer]

    def __enter__(self) -> _Pipes:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._open.copy())

    def close_inner(self) -> None:
        """Close the ends that the process has its own copies of."""
        self._close(self.inner)

    def _close(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            self._open.remove(descriptor)
            os.close(descriptor)


class _Removals:
    """Removes directories on a thread of its own, while the build goes on."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True, name="removals")
        self._thread.start()

    def add(self, directory: Path) -> None:
        """Remove a directory soon."""
        self._queue.put(directory)

    def finish(self) -> None:
        """Return when all are removed."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (directory := self._queue.get()) is not None:
            _remove(directory)


def _content_id(store: Store, chain: Sequence[str], path: bytes) -> str:
    entry = store.stat(chain, path) if chain else None
    return entry.content if entry is not None else ""


def _pump(pipes: tuple[int, int], output: Output) -> None:
    """Hand on what comes until both pipes end: the process and all its children are gone then."""
    with selectors.DefaultSelector() as selector:
        for stream, descriptor in enumerate(pipes, start=1):
            selector.register(descriptor, selectors.EVENT_READ, stream)
        while selector.get_map():
            # A signal that comes just before the wait begins does not end it: see the executor.
            for key, _ in selector.select(_LOOK_SECONDS):
                data = os.read(key.fd, _CHUNK)
                if data:
                    output(key.data, data)
                else:
                    selector.unregister(key.fd)


def _make_home(staging: Path) -> tuple[Path, int]:
    """A directory for this build's steps, and the lock that says that its build is alive."""
    home = staging / f"{_PREFIX}{secrets.token_hex(8)}"
    home.mkdir(mode=0o700, parents=True)
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return home, lock


def _sweep(staging: Path, driver: StepDriver) -> None:
    """Kill and remove the steps of builds that died without doing so themselves."""
    for home in staging.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(home / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # being made, or being removed, by another process
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        for directory in home.iterdir():
            if directory.is_dir():
                with contextlib.suppress(ContainerError):
                    driver.delete(directory.name, force=True)
        _remove(home)
        os.close(lock)


def _remove(directory: Path) -> None:
    """Remove a directory of ours; what cannot be removed, the next build tries again."""
    with contextlib.suppress(FastlayerError):
        remove_tree(directory)
