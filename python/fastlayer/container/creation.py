"""Creates containers: an image's settings overlaid by the user's, as docker run overlays them.

The functions before :func:`create` are pure.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container import names, network, process, rootfs
from fastlayer.container.capabilities import adjust
from fastlayer.container.config import AnonymousVolume, ContainerConfig
from fastlayer.container.copy import extract
from fastlayer.container.document import timestamp
from fastlayer.container.mounts import DEFAULT_SHM_SIZE, Mount
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.container.spec import DEFAULT_PATH, Ulimit, require_passable
from fastlayer.container.tree import MergedTree
from fastlayer.errors import ContainerError, PathNotFoundError, StoreIOError
from fastlayer.image.image import Image
from fastlayer.oci.config import RuntimeConfig
from fastlayer.oci.mutate import (
    add_labels,
    add_ports,
    add_volumes,
    set_environment,
    with_runtime,
)
from fastlayer.store import Store
from fastlayer.value import replace

_NAME_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What a user asks for when a container is created; the image has the rest.

    Parameters
    ----------
    image_name:
        The image as the user wrote it.
    name:
        The container's name; one is made up where it is empty.
    command:
        Takes the place of the image's CMD, where it is not empty.
    entrypoint:
        Takes the place of the image's ENTRYPOINT and drops its CMD; ``""`` means none.
    environment:
        (name, value) pairs.
    ports:
        What ``-p`` asked for: (text, container's port as ``80/tcp``) pairs.
    anonymous_volumes:
        Paths that get a directory of the container's own, besides the image's VOLUMEs.
    """

    image_name: str
    name: str = ""
    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    user: str = ""
    working_directory: str = ""
    hostname: str = ""
    network: str = "default"
    ports: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    anonymous_volumes: tuple[str, ...] = ()
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
    stop_signal: str = ""
    stop_timeout: int = 10


def overlay_settings(section: RuntimeConfig, request: CreateRequest) -> RuntimeConfig:
    """The image's section with the user's settings: what a commit keeps."""
    if request.entrypoint is not None:
        words = (request.entrypoint,) if request.entrypoint else ()
        section = replace(section, entrypoint=words or None, cmd=request.command or None)
    elif request.command:
        section = replace(section, cmd=request.command)
    for name, value in request.environment:
        section = set_environment(section, name, value)
    if request.labels:
        section = add_labels(section, request.labels)
    if request.ports:
        section = add_ports(section, (port for _, port in request.ports))
    if request.anonymous_volumes:
        section = add_volumes(section, request.anonymous_volumes)
    return replace(
        section,
        user=request.user or section.user,
        working_dir=request.working_directory or section.working_dir,
        stop_signal=request.stop_signal or section.stop_signal,
    )


def command_line(section: RuntimeConfig) -> tuple[str, ...]:
    """Entrypoint and command together.

    Raises
    ------
    ContainerError
        There is neither.
    """
    words = (*(section.entrypoint or ()), *(section.cmd or ()))
    if not words or not words[0]:
        raise ContainerError(
            "no command specified", hint="the image sets none: write one behind its name"
        )
    return words


def process_environment(section: RuntimeConfig, hostname: str, terminal: bool) -> tuple[str, ...]:
    """The variables of the process, in docker's order: its own, then the container's."""
    own = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if terminal:
        own["TERM"] = "xterm"
    settings = dict(own)
    for entry in section.env:
        name, _, value = entry.partition("=")
        settings[name] = value
    return tuple(f"{name}={value}" for name, value in settings.items())


def create(store: Store, image: Image, request: CreateRequest) -> Container:
    """Create a container that does not run yet.

    Raises
    ------
    ConflictError
        The name is in use.
    ContainerError
        No command, or the image cannot be run on (raw layer, bad user).
    UsageError
        A name, capability or network that does not exist.
    """
    registry = ContainerRegistry(store.root)
    network.effective_network(request.network)
    adjust(request.cap_add, request.cap_drop)
    config = _config(registry, image, request)
    targets = (mount.target for mount in config.mounts)
    require_passable((config.path, *config.arguments, *config.environment, *targets))
    process.resolve_user(store, image.chain, config.image_config().config.user)
    try:
        container = registry.add(config)
    except OSError as error:
        raise StoreIOError(
            f"cannot create a container in {store.root}: {error.strerror}", errno=error.errno
        ) from error
    try:
        with store.lease():  # until the container can be seen, an image that is removed meanwhile
            rootfs.make_upper(store, image.chain, container.directory)
            for volume in config.volumes:
                place = container.directory / "volumes" / volume.name
                _seed(store, image.chain, place, volume.target)
            return registry.publish(container)
    except BaseException:
        registry.remove(container)
        raise


def _config(registry: ContainerRegistry, image: Image, request: CreateRequest) -> ContainerConfig:
    identifier = secrets.token_hex(32)
    section = overlay_settings(image.config.config, request)
    words = command_line(section)
    hostname = request.hostname or (
        network.host_name() if request.network == "host" else identifier[:12]
    )
    mounted = {mount.target for mount in request.mounts}
    targets = [path.rstrip("/") or "/" for path in section.volumes]
    return ContainerConfig(
        identifier=identifier,
        name=_name(registry, request.name),
        created=timestamp(),
        image=request.image_name,
        image_id=image.id,
        document=with_runtime(image.config, section).to_value(),
        path=words[0],
        arguments=words[1:],
        environment=process_environment(section, hostname, request.terminal),
        hostname=hostname,
        network=request.network,
        mounts=request.mounts,
        volumes=tuple(
            AnonymousVolume(name=secrets.token_hex(32), target=target)
            for target in targets
            if target not in mounted
        ),
        terminal=request.terminal,
        open_stdin=request.open_stdin,
        auto_remove=request.auto_remove,
        read_only=request.read_only,
        privileged=request.privileged,
        cap_add=request.cap_add,
        cap_drop=request.cap_drop,
        group_add=request.group_add,
        extra_hosts=request.extra_hosts,
        shm_size=request.shm_size,
        ulimits=request.ulimits,
        stop_timeout=request.stop_timeout,
        ports=tuple(text for text, _ in request.ports),
    )


def _name(registry: ContainerRegistry, wanted: str) -> str:
    if wanted:
        return names.check(wanted)
    for _ in range(_NAME_ATTEMPTS):
        name = names.generate()
        if not registry.has_name(name):
            return name
    return f"{names.generate()}_{secrets.token_hex(4)}"


def _seed(store: Store, chain: Sequence[str], directory: Path, target: str) -> None:
    """Fill a volume's directory with what the image has at its place."""
    directory.mkdir(parents=True)
    tree = MergedTree(store, chain)
    try:
        node = tree.resolve(target)
    except PathNotFoundError:
        directory.chmod(0o755)
        return
    if node.kind == "directory":
        extract(tree, node, directory, owners=True)
