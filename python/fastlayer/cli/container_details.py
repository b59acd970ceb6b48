"""A container as ``docker container inspect`` shows it, for what fastlayer has of it."""

from __future__ import annotations

from fastlayer.cli.go_value import NilList, Record
from fastlayer.cli.image_details import config_details
from fastlayer.container.lifecycle import current_state
from fastlayer.container.mounts import Mount
from fastlayer.container.registry import Container
from fastlayer.container.state import ContainerState
from fastlayer.store import Store

_NEVER = "0001-01-01T00:00:00Z"
"""How Go writes a time that is not set."""


def container_details(store: Store, container: Container) -> Record:
    """The fields in docker's order."""
    config = container.config
    state = current_state(store, container)
    return Record(
        {
            "Id": container.identifier,
            "Created": config.created,
            "Path": config.path,
            "Args": list(config.arguments),
            "State": _state(state),
            "Image": config.image_id,
            "ResolvConfPath": str(container.run / "resolv.conf"),
            "HostnamePath": str(container.run / "hostname"),
            "HostsPath": str(container.run / "hosts"),
            "LogPath": str(container.log),
            "Name": f"/{config.name}",
            "RestartCount": 0,
            "Driver": "overlay",
            "Platform": str(config.document.get("os", "linux")),
            "HostConfig": _host_config(container),
            "Mounts": [_mount(mount) for mount in config.mounts] + _volumes(container),
            "Config": _config(container),
            "NetworkSettings": Record({"Networks": {config.network: Record({})}}),
        }
    )


def _state(state: ContainerState) -> Record:
    return Record(
        {
            "Status": state.status,
            "Running": state.status == "running",
            "Paused": False,
            "Restarting": False,
            "OOMKilled": False,
            "Dead": False,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": state.started or _NEVER,
            "FinishedAt": state.finished or _NEVER,
        }
    )


def _host_config(container: Container) -> Record:
    config = container.config
    binds = [
        f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}"
        for mount in config.mounts
        if mount.kind == "bind"
    ]
    return Record(
        {
            "Binds": binds or NilList(),
            "NetworkMode": config.network,
            "AutoRemove": config.auto_remove,
            "CapAdd": list(config.cap_add) or NilList(),
            "CapDrop": list(config.cap_drop) or NilList(),
            "ExtraHosts": [f"{name}:{address}" for name, address in config.extra_hosts]
            or NilList(),
            "GroupAdd": list(config.group_add) or NilList(),
            "Privileged": config.privileged,
            "ReadonlyRootfs": config.read_only,
            "ShmSize": config.shm_size,
            "Ulimits": [
                Record({"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft})
                for limit in config.ulimits
            ],
        }
    )


def _config(container: Container) -> Record:
    config = container.config
    fields: dict[str, object] = {
        "Hostname": config.hostname,
        "Tty": config.terminal,
        "OpenStdin": config.open_stdin,
        "Image": config.image,
    }
    section = config_details(config.image_config().config)
    return Record({**fields, **section}, section.absent)


def _mount(mount: Mount) -> Record:
    return Record(
        {
            "Type": mount.kind,
            "Source": mount.source,
            "Destination": mount.target,
            "Mode": ",".join(mount.options),
            "RW": not mount.read_only,
            "Propagation": "rprivate" if mount.kind == "bind" else "",
        }
    )


def _volumes(container: Container) -> list[Record]:
    return [
        Record(
            {
                "Type": "volume",
                "Name": volume.name,
                "Source": str(container.directory / "volumes" / volume.name),
                "Destination": volume.target,
                "Mode": "",
                "RW": True,
                "Propagation": "",
            }
        )
        for volume in container.config.volumes
    ]
