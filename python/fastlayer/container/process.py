"""The process of a container: from its frozen creation to the runtime's specification.

Reads the image's user files and the kernel's last capability; changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fastlayer.container import capabilities, user
from fastlayer.container.config import ContainerConfig
from fastlayer.container.mounts import Mount
from fastlayer.container.network import effective_network
from fastlayer.container.registry import Container
from fastlayer.container.spec import Device, ProcessSpec
from fastlayer.container.tree import MergedTree
from fastlayer.errors import PathNotFoundError
from fastlayer.store import Store

_OWN_DEVICES = {"pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "console", "ptmx"}


def process_spec(store: Store, container: Container, files: tuple[Mount, ...]) -> ProcessSpec:
    """What a container's start hands to the runtime.

    Parameters
    ----------
    store, container:
        Where the image's files are, and what was asked for.
    files:
        Mounts of the network's files; a mount of the user at the same place wins.

    Raises
    ------
    ContainerError
        The user or a group is unknown.
    """
    config = container.config
    tree = MergedTree(store, container.chain(), container.upper)
    section = config.image_config().config
    chosen = capabilities.adjust(config.cap_add, config.cap_drop)
    if config.privileged:
        chosen = capabilities.ALL
    return ProcessSpec(
        arguments=(config.path, *config.arguments),
        environment=config.environment,
        working_directory=section.working_dir or "/",
        user=_user(tree, section.user, config.group_add),
        hostname=config.hostname,
        cgroup=f"/fastlayer/{container.identifier}",
        network=effective_network(config.network),
        mounts=_mounts(container, files),
        terminal=config.terminal,
        capabilities=capabilities.within(chosen, capability_mask()),
        privileged=config.privileged,
        read_only=config.read_only,
        shm_size=config.shm_size,
        ulimits=config.ulimits,
        devices=tuple(host_devices(Path("/dev"))) if config.privileged else (),
        cgroup_namespace=unified_cgroups(),
    )


def resolve_user(store: Store, chain: Sequence[str], text: str) -> user.ResolvedUser:
    """Look a user up in the files of a chain; a chain without them knows root and numbers.

    Raises
    ------
    ContainerError
        A name has no entry.
    """
    return resolve_user_in(MergedTree(store, chain), text)


def resolve_user_in(tree: MergedTree, text: str) -> user.ResolvedUser:
    """Look a user up in the files of a tree, as :func:`resolve_user` does."""
    return user.resolve(text, _content(tree, "/etc/passwd"), _content(tree, "/etc/group"))


def capability_mask() -> int:
    """The capabilities that this process can hand on, one bit each (its bounding set).

    A kernel does not know all, and a machine's own supervisor may have taken some away.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapBnd:"):
                return int(line.split()[1], 16)
    except (OSError, ValueError):
        pass
    return (1 << len(capabilities.ALL)) - 1


def unified_cgroups() -> bool:
    """Whether control groups are version 2 alone: then a process gets a namespace of them."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def host_devices(directory: Path) -> Iterator[Device]:
    """The device nodes of the host, which a privileged container gets."""
    for entry in sorted(os.scandir(directory), key=lambda item: item.name):
        if entry.name in _OWN_DEVICES or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from host_devices(Path(entry.path))
            continue
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            yield Device(
                path=entry.path,
                kind="c" if stat.S_ISCHR(status.st_mode) else "b",
                major=os.major(status.st_rdev),
                minor=os.minor(status.st_rdev),
                mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
            )


def base_environment(
    config_environment: tuple[str, ...], hostname: str, terminal: bool
) -> list[str]:
    """What docker sets before the image's variables, where those do not set it."""
    names = {entry.partition("=")[0] for entry in config_environment}
    base = [("HOSTNAME", hostname)]
    if terminal:
        base.append(("TERM", "xterm"))
    return [f"{name}={value}" for name, value in base if name not in names]


def _user(tree: MergedTree, text: str, group_add: tuple[str, ...]) -> user.ResolvedUser:
    resolved = resolve_user_in(tree, text)
    if not group_add:
        return resolved
    content = _content(tree, "/etc/group")
    more = (user.resolve_group(group, content) for group in group_add)
    return replace(resolved, groups=tuple(dict.fromkeys((*resolved.groups, *more))))


def _content(tree: MergedTree, path: str) -> bytes:
    try:
        return tree.read(path, limit=user.MAXIMUM_FILE_SIZE)
    except PathNotFoundError:
        return b""


def _mounts(container: Container, files: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """All own mounts, the shallow ones first, so that none hides another."""
    config: ContainerConfig = container.config
    volumes = (
        Mount("bind", volume.target, str(container.directory / "volumes" / volume.name))
        for volume in config.volumes
    )
    by_target = {mount.target: mount for mount in (*files, *volumes, *config.mounts)}
    return tuple(sorted(by_target.values(), key=lambda mount: mount.target.count("/")))
