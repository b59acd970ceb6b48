"""The runtime's ``config.json`` for one process, as docker would write it.

Pure: a frozen :class:`ProcessSpec` in, plain JSON values out. What must be looked up (user
numbers, the kernel's last capability, host devices) is in the spec already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fastlayer.container import capabilities, seccomp
from fastlayer.container.mounts import DEFAULT_SHM_SIZE, Mount, standard_mounts
from fastlayer.container.user import ResolvedUser
from fastlayer.errors import ContainerError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""``$PATH`` where neither image nor user sets one."""

MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
"""Paths that look empty inside."""

READ_ONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""Paths that cannot be written inside."""

_DEVICE_RULES: tuple[tuple[str, int | None, int | None, str], ...] = (
    ("c", None, None, "m"),
    ("b", None, None, "m"),
    ("c", 1, 3, "rwm"),  # null
    ("c", 1, 5, "rwm"),  # zero
    ("c", 1, 7, "rwm"),  # full
    ("c", 1, 8, "rwm"),  # random
    ("c", 1, 9, "rwm"),  # urandom
    ("c", 5, 0, "rwm"),  # tty
    ("c", 5, 1, "rwm"),  # console
    ("c", 5, 2, "rwm"),  # ptmx
    ("c", 136, None, "rwm"),  # pts
)


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit: ``name`` without ``RLIMIT_``, in lower case."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device node that the process gets in its ``/dev``."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """All that decides how a process is started; see the fields of docker's ``run``.

    ``network`` is ``host`` or ``none``; ``cgroup`` is the path of the process's own control group;
    ``environment`` is complete but for ``PATH`` and ``HOME``, which are set where they are missing.
    """

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    working_directory: str
    user: ResolvedUser
    hostname: str
    cgroup: str
    network: str = "host"
    mounts: tuple[Mount, ...] = ()
    terminal: bool = False
    capabilities: tuple[str, ...] = capabilities.DEFAULT
    privileged: bool = False
    read_only: bool = False
    shm_size: int = DEFAULT_SHM_SIZE
    ulimits: tuple[Ulimit, ...] = ()
    devices: tuple[Device, ...] = ()
    cgroup_mount: bool = True
    cgroup_namespace: bool = False
    annotations: dict[str, str] = field(default_factory=dict)

    def all_mounts(self) -> tuple[Mount, ...]:
        """The standard mounts and then the spec's own; one at the same target takes its place."""
        own = {mount.target for mount in self.mounts}
        standard = standard_mounts(
            shm_size=self.shm_size, cgroup=self.cgroup_mount, privileged=self.privileged
        )
        return (*(mount for mount in standard if mount.target not in own), *self.mounts)


def runtime_config(spec: ProcessSpec, root: str, *, filter_calls: bool = True) -> dict[str, object]:
    """The OCI runtime configuration of a process.

    Parameters
    ----------
    spec:
        The process.
    root:
        Where its root file system is.
    filter_calls:
        Whether the runtime can filter system calls (seccomp).

    Raises
    ------
    ContainerError
        An argument or variable cannot be passed (not UTF-8, or it holds a NUL).
    """
    require_passable((*spec.arguments, *spec.environment, spec.working_directory))
    return {
        "ociVersion": "1.0.2",
        "process": process_section(spec),
        "root": {"path": root, "readonly": spec.read_only},
        "hostname": spec.hostname,
        "mounts": [mount.runtime_form() for mount in spec.all_mounts()],
        "linux": _linux(spec, filter_calls),
        "annotations": dict(spec.annotations),
    }


def process_section(spec: ProcessSpec) -> dict[str, object]:
    """The part of the configuration that describes the process alone; exec takes it, too."""
    process: dict[str, object] = {
        "terminal": spec.terminal,
        "user": {
            "uid": spec.user.uid,
            "gid": spec.user.gid,
            "additionalGids": list(spec.user.groups),
        },
        "args": list(spec.arguments),
        "env": list(complete_environment(spec.environment, spec.user.home)),
        "cwd": spec.working_directory or "/",
        "capabilities": _capability_sets(spec),
        "noNewPrivileges": False,
    }
    if spec.ulimits:
        process["rlimits"] = [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard}
            for limit in spec.ulimits
        ]
    return process


def complete_environment(environment: tuple[str, ...], home: str) -> tuple[str, ...]:
    """``PATH`` first and ``HOME`` last, where they are missing."""
    names = {entry.partition("=")[0] for entry in environment}
    head = () if "PATH" in names else (f"PATH={DEFAULT_PATH}",)
    tail = () if "HOME" in names else (f"HOME={home}",)
    return (*head, *environment, *tail)


def _capability_sets(spec: ProcessSpec) -> dict[str, list[str]]:
    # Another user than root gets only the bounding set: what execve would leave it anyway. The
    # inheritable set stays empty, else file capabilities would be worth more than on a host.
    names = list(spec.capabilities)
    if spec.user.uid != 0:
        return {"bounding": names}
    return {"bounding": names, "effective": names, "permitted": names}


def _linux(spec: ProcessSpec, filter_calls: bool) -> dict[str, object]:
    namespaces = ["pid", "ipc", "uts", "mount"]
    if spec.network == "none":
        namespaces.append("network")
    if spec.cgroup_namespace:
        namespaces.append("cgroup")
    linux: dict[str, object] = {
        "namespaces": [{"type": name} for name in namespaces],
        "cgroupsPath": spec.cgroup,
        "resources": {"devices": _device_rules(spec)},
    }
    if spec.devices:
        linux["devices"] = [_device(device) for device in spec.devices]
    if not spec.privileged:
        linux["maskedPaths"] = list(MASKED_PATHS)
        linux["readonlyPaths"] = list(READ_ONLY_PATHS)
        profile = seccomp.profile(spec.capabilities) if filter_calls else None
        if profile is not None:
            linux["seccomp"] = profile
    return linux


def _device_rules(spec: ProcessSpec) -> list[dict[str, object]]:
    if spec.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, object]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in _DEVICE_RULES:
        rule: dict[str, object] = {"allow": True, "type": kind, "access": access}
        if major is not None:
            rule["major"] = major
        if minor is not None:
            rule["minor"] = minor
        rules.append(rule)
    return rules


def _device(device: Device) -> dict[str, object]:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def require_passable(texts: Iterable[str]) -> None:
    """Refuse texts that cannot be handed to a process through the runtime's JSON.

    Raises
    ------
    ContainerError
        One is not UTF-8, or holds a NUL.
    """
    for text in texts:
        if "\0" in text:
            raise ContainerError(f"{text!r} holds a NUL and cannot be passed to a process")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ContainerError(f"{text!r} is not valid UTF-8 and cannot be passed on") from None
