"""What a container was created with: frozen at creation, one JSON document.

The image's own settings, overlaid by the user's, are kept as an image config document: it is
what a commit without changes would write but for the new layer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastlayer.container.mounts import DEFAULT_SHM_SIZE, Mount
from fastlayer.container.spec import Ulimit
from fastlayer.errors import CorruptError, StoreFormatError
from fastlayer.oci.config import ImageConfig

VERSION = 1
"""Version of the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousVolume:
    """A directory of the container's own below ``volumes/``, mounted at ``target``."""

    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """The creation of a container.

    Parameters
    ----------
    identifier:
        64 hex digits.
    image, image_id:
        The image as the user named it, and its id.
    document:
        The image config document with the container's own ``config`` section.
    path, arguments:
        The program and its arguments: entrypoint and command, joined.
    ports:
        What ``-p`` asked for, to be listed.
    """

    identifier: str
    name: str
    created: str
    image: str
    image_id: str
    document: Mapping[str, object]
    path: str
    arguments: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    hostname: str = ""
    network: str = "default"
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[AnonymousVolume, ...] = ()
    terminal: bool = False
    open_stdin: bool = False
    auto_remove: bool = False
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = DEFAULT_SHM_SIZE
    ulimits: tuple[Ulimit, ...] = ()
    stop_timeout: int = 10
    ports: tuple[str, ...] = ()

    def image_config(self) -> ImageConfig:
        """The document, read."""
        return ImageConfig.from_json(
            json.dumps(self.document).encode(), f"config of container {self.identifier[:12]}"
        )

    def to_value(self) -> dict[str, object]:
        """The JSON object that :func:`from_value` reads."""
        return {
            "version": VERSION,
            "id": self.identifier,
            "name": self.name,
            "created": self.created,
            "image": self.image,
            "image_id": self.image_id,
            "document": dict(self.document),
            "path": self.path,
            "arguments": list(self.arguments),
            "environment": list(self.environment),
            "hostname": self.hostname,
            "network": self.network,
            "mounts": [_mount_value(mount) for mount in self.mounts],
            "volumes": [{"name": v.name, "target": v.target} for v in self.volumes],
            "terminal": self.terminal,
            "open_stdin": self.open_stdin,
            "auto_remove": self.auto_remove,
            "read_only": self.read_only,
            "privileged": self.privileged,
            "cap_add": list(self.cap_add),
            "cap_drop": list(self.cap_drop),
            "group_add": list(self.group_add),
            "extra_hosts": [list(pair) for pair in self.extra_hosts],
            "shm_size": self.shm_size,
            "ulimits": [[limit.name, limit.soft, limit.hard] for limit in self.ulimits],
            "stop_timeout": self.stop_timeout,
            "ports": list(self.ports),
        }


def from_value(value: Mapping[str, object], where: str) -> ContainerConfig:
    """Read the document; ``where`` is what an error calls it.

    Raises
    ------
    StoreFormatError
        It is of another version.
    CorruptError
        Something is missing, or has another type.
    """
    if value.get("version") != VERSION:
        found = value.get("version")
        raise StoreFormatError(
            f"{where} has version {found}, this release knows version {VERSION} only",
            hint="use the fastlayer that created the container",
        )
    reader = _Reader(value, where)
    return ContainerConfig(
        identifier=reader.text("id"),
        name=reader.text("name"),
        created=reader.text("created"),
        image=reader.text("image"),
        image_id=reader.text("image_id"),
        document=reader.mapping("document"),
        path=reader.text("path"),
        arguments=reader.texts("arguments"),
        environment=reader.texts("environment"),
        hostname=reader.text("hostname"),
        network=reader.text("network"),
        mounts=tuple(_mount(item) for item in reader.readers("mounts")),
        volumes=tuple(
            AnonymousVolume(name=item.text("name"), target=item.text("target"))
            for item in reader.readers("volumes")
        ),
        terminal=reader.flag("terminal"),
        open_stdin=reader.flag("open_stdin"),
        auto_remove=reader.flag("auto_remove"),
        read_only=reader.flag("read_only"),
        privileged=reader.flag("privileged"),
        cap_add=reader.texts("cap_add"),
        cap_drop=reader.texts("cap_drop"),
        group_add=reader.texts("group_add"),
        extra_hosts=tuple((str(a), str(b)) for a, b in reader.rows("extra_hosts", 2)),
        shm_size=reader.number("shm_size"),
        ulimits=tuple(
            Ulimit(str(name), int(str(soft)), int(str(hard)))
            for name, soft, hard in reader.rows("ulimits", 3)
        ),
        stop_timeout=reader.number("stop_timeout"),
        ports=reader.texts("ports"),
    )


def _mount_value(mount: Mount) -> dict[str, object]:
    return {
        "kind": mount.kind,
        "target": mount.target,
        "source": mount.source,
        "read_only": mount.read_only,
        "options": list(mount.options),
        "is_directory": mount.is_directory,
    }


def _mount(reader: _Reader) -> Mount:
    return Mount(
        kind=reader.text("kind"),
        target=reader.text("target"),
        source=reader.text("source"),
        read_only=reader.flag("read_only"),
        options=reader.texts("options"),
        is_directory=reader.flag("is_directory"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes members of a JSON object, each checked to have its type."""

    value: Mapping[str, object]
    where: str

    def _fail(self, name: str) -> CorruptError:
        return CorruptError(f"{self.where} is damaged: {name} is missing or of another type")

    def text(self, name: str) -> str:
        found = self.value.get(name)
        if not isinstance(found, str):
            raise self._fail(name)
        return found

    def flag(self, name: str) -> bool:
        found = self.value.get(name)
        if not isinstance(found, bool):
            raise self._fail(name)
        return found

    def number(self, name: str) -> int:
        found = self.value.get(name)
        if not isinstance(found, int):
            raise self._fail(name)
        return found

    def mapping(self, name: str) -> dict[str, object]:
        found = self.value.get(name)
        if not isinstance(found, dict):
            raise self._fail(name)
        return found

    def items(self, name: str) -> list[object]:
        found = self.value.get(name)
        if not isinstance(found, list):
            raise self._fail(name)
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.items(name)
        if not all(isinstance(item, str) for item in found):
            raise self._fail(name)
        return tuple(str(item) for item in found)

    def readers(self, name: str) -> list[_Reader]:
        found = self.items(name)
        where = f"{self.where}: {name}"
        readers = [_Reader(item, where) for item in found if isinstance(item, dict)]
        if len(readers) != len(found):
            raise self._fail(name)
        return readers

    def rows(self, name: str, width: int) -> list[list[object]]:
        found = self.items(name)
        rows = [item for item in found if isinstance(item, list) and len(item) == width]
        if len(rows) != len(found):
            raise self._fail(name)
        return rows
