"""The containers of a store: one directory each, found by id, by part of it, or by name.

Layout of ``containers/<id>/``: ``config.json`` (frozen), ``state.json`` (replaced), ``lock``
(held by the monitor for as long as it lives: the only sign of life that is trusted),
``upper`` and ``work`` (the writable layer), ``volumes/``, ``<id>-json.log``, and below
``run/`` what exists only while it runs. A directory appears whole, by rename.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container import config as config_document
from fastlayer.container import document, state
from fastlayer.container.config import ContainerConfig
from fastlayer.container.state import ContainerState
from fastlayer.errors import ConflictError, ContainerNotFoundError
from fastlayer.store import discard_tree

_NEW = ".new-"
_DEAD = ".dead-"
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is in the store: its directory and its frozen creation."""

    directory: Path
    config: ContainerConfig

    @property
    def identifier(self) -> str:
        """64 hex digits."""
        return self.config.identifier

    @property
    def short(self) -> str:
        """The first twelve digits of the id."""
        return self.config.identifier[:12]

    @property
    def upper(self) -> Path:
        """The writable directory of the overlay."""
        return self.directory / "upper"

    @property
    def log(self) -> Path:
        """What the container wrote, in docker's json-file form."""
        return self.directory / f"{self.identifier}-json.log"

    @property
    def run(self) -> Path:
        """What exists only while the container runs."""
        return self.directory / "run"

    def state(self) -> ContainerState:
        """The state as it is written down.

        Raises
        ------
        ContainerNotFoundError
            The container was removed meanwhile.
        CorruptError
            The document is damaged.
        """
        path = self.directory / "state.json"
        try:
            return state.from_value(document.read(path), str(path))
        except FileNotFoundError:
            raise ContainerNotFoundError(f"no such container: {self.config.name}") from None

    def write_state(self, new: ContainerState) -> None:
        """Replace the state, durably."""
        document.write(self.directory / "state.json", new.to_value())

    def chain(self) -> tuple[str, ...]:
        """The layers below the upper: the image's, and those that commits adopted."""
        rootfs = self.config.document.get("rootfs")
        diff_ids = rootfs.get("diff_ids", ()) if isinstance(rootfs, dict) else ()
        return (*map(str, diff_ids), *(layer.diff_id for layer in self.state().layers))

    def layers_needed(self) -> tuple[str, ...]:
        """The chain, of which a container that was removed meanwhile needs nothing."""
        try:
            return self.chain()
        except ContainerNotFoundError:
            return ()

    def try_lock(self) -> int | None:
        """Take the monitor's lock; gives a descriptor to close, ``None`` where a monitor lives."""
        try:
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContainerNotFoundError(f"no such container: {self.config.name}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_running(self) -> bool:
        """Whether its monitor lives; one that was removed meanwhile does not run."""
        try:
            descriptor = self.try_lock()
        except ContainerNotFoundError:
            return False
        if descriptor is None:
            return True
        os.close(descriptor)
        return False


class ContainerRegistry:
    """The containers of one store.

    Parameters
    ----------
    root:
        The store's directory.
    """

    def __init__(self, root: Path) -> None:
        self._directory = root / "containers"
        self._lock = root / "locks" / "containers"

    def add(self, config: ContainerConfig) -> Container:
        """Write a new container down; the caller makes its upper before it calls :meth:`publish`.

        Returns
        -------
        A container in a directory that nobody else sees yet.
        """
        directory = self._directory / f"{_NEW}{config.identifier}"
        directory.mkdir(mode=0o700, parents=True)
        document.write(directory / "config.json", config.to_value())
        container = Container(directory, config)
        container.write_state(ContainerState())
        (directory / "lock").touch(mode=0o600)
        return container

    def publish(self, container: Container) -> Container:
        """Make a new container visible, if its name is free.

        Raises
        ------
        ConflictError
            Another container has the name.
        """
        with self._locked():
            for other in self.all():
                if other.config.name == container.config.name:
                    raise ConflictError(
                        f"the container name {other.config.name} is in use by container "
                        f"{other.short}",
                        hint=f"remove it (fastlayer rm {other.config.name}) or use another name",
                    )
            final = self._directory / container.identifier
            container.directory.rename(final)
            document.sync_directory(self._directory)
        return Container(final, container.config)

    def has_name(self, name: str) -> bool:
        """Whether a container has that name."""
        return any(other.config.name == name for other in self.all())

    def all(self) -> list[Container]:
        """Every container, the newest first."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        found = [self._read(name) for name in names if not name.startswith(".")]
        present = [container for container in found if container is not None]
        return sorted(
            present, key=lambda c: document.parse_timestamp(c.config.created), reverse=True
        )

    def find(self, text: str) -> Container:
        """The container of that id, name or beginning of an id.

        Raises
        ------
        ContainerNotFoundError
            There is none, or the beginning is not unique.
        """
        name = text.removeprefix("/")
        containers = self.all()
        for container in containers:
            if container.identifier == name:
                return container
        for container in containers:
            if container.config.name == name:
                return container
        matches = [c for c in containers if name and c.identifier.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ContainerNotFoundError(
                f"several containers have an id that begins with {text}",
                hint="give more digits: fastlayer ps -a --no-trunc",
            )
        raise ContainerNotFoundError(f"no such container: {text}", hint="see all: fastlayer ps -a")

    def remove(self, container: Container) -> None:
        """Forget a container: it is gone for everybody at once, its files a little later."""
        dead = self._directory / f"{_DEAD}{container.identifier}"
        try:
            container.directory.rename(dead)
        except FileNotFoundError:
            return
        document.sync_directory(self._directory)
        discard_tree(dead)

    def layers_in_use(self) -> set[str]:
        """DiffIDs of every layer that a container lies over: roots of garbage collection."""
        return {diff_id for container in self.all() for diff_id in container.layers_needed()}

    def using_image(self, image_id: str) -> list[Container]:
        """The containers that were made of an image."""
        return [container for container in self.all() if container.config.image_id == image_id]

    def _read(self, name: str) -> Container | None:
        directory = self._directory / name
        path = directory / "config.json"
        try:
            return Container(directory, config_document.from_value(document.read(path), str(path)))
        except (FileNotFoundError, NotADirectoryError):
            return None  # removed meanwhile

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._sweep()
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what a killed removal or creation left."""
        for dead in self._directory.glob(f"{_DEAD}*"):
            discard_tree(dead)
        for new in self._directory.glob(f"{_NEW}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - new.stat().st_mtime > _ABANDONED_SECONDS:
                    discard_tree(new)
