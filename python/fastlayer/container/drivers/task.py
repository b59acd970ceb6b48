"""A runtime configuration as a message for the built-in sandbox.

Pure. The form is documented beside its reader, ``rust/sandbox/src/task.rs``: numbers are
little-endian, a text is its length and its bytes, a list is its count and its elements.
"""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from fastlayer.container import capabilities, filter_program
from fastlayer.errors import ContainerError

_MAGIC = b"FLT\x02"
_UNLIMITED = 2**64 - 1

_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}

_ATTRIBUTES = {
    "ro": 0x01,
    "nosuid": 0x02,
    "nodev": 0x04,
    "noexec": 0x08,
    "noatime": 0x10,
    "strictatime": 0x20,
    "nodiratime": 0x80,
}
"""Options of a mount that the kernel keeps beside the file system (``MOUNT_ATTR_*``)."""

_NO_EFFECT = {"rw", "suid", "dev", "exec", "relatime", "bind", "rbind", "private", "rprivate"}
"""Options that say what holds anyway."""

_LOCKS = 10  # a resource without a name in Python

_Value = TypeVar("_Value")


def encode(
    config: Mapping[str, Any], *, reaper: bool, root_only: bool = False, beside: int = 0
) -> bytes:
    """The message.

    Parameters
    ----------
    config:
        As :func:`fastlayer.container.spec.runtime_config` makes it.
    reaper:
        Whether the first process inside is ours, and the configured one its child.
    root_only:
        Whether only the root directory is changed: no namespaces, and none of the mounts.
    beside:
        The id of a process whose namespaces are entered instead of making new ones; 0 for none.

    Raises
    ------
    ContainerError
        The configuration has something that the sandbox does not know.
    """
    process, linux = config["process"], config["linux"]
    kinds = [] if root_only else [namespace["type"] for namespace in linux["namespaces"]]
    mounts = () if root_only else config["mounts"]
    switches = (
        config["root"]["readonly"],
        process["noNewPrivileges"],
        process["terminal"],
        reaper,
        _all_devices(linux),
        "network" in kinds,
        root_only,
    )
    sets = process["capabilities"]
    # The section is docker's for the bounding set, whose program is made once.
    filtered = "seccomp" in linux
    parts = (
        _MAGIC,
        _text(config["root"]["path"]),
        _number(sum(bool(switch) << position for position, switch in enumerate(switches))),
        _number(sum(_NAMESPACES[kind] for kind in kinds)),
        _number(beside),
        _text(config["hostname"]),
        _list(process["args"], _text),
        _list(process["env"], _text),
        _text(process["cwd"]),
        _user(process["user"]),
        *(
            struct.pack("<Q", capabilities.mask(sets.get(name, ())))
            for name in ("bounding", "effective", "permitted", "inheritable")
        ),
        _list(process.get("rlimits", ()), _limit),
        _list(mounts, _mount),
        _list([device["path"] for device in linux.get("devices", ())], _text),
        _list(linux.get("maskedPaths", ()), _text),
        _list(linux.get("readonlyPaths", ()), _text),
        _bytes(filter_program.docker_filter(frozenset(sets["bounding"])) if filtered else b""),
    )
    return b"".join(parts)


def _user(user: Mapping[str, Any]) -> bytes:
    groups = _list(user["additionalGids"], _number)
    return _number(user["uid"]) + _number(user["gid"]) + groups


def _all_devices(linux: Mapping[str, Any]) -> bool:
    """Whether every device may be used: then their nodes work wherever they are."""
    rules = linux["resources"]["devices"]
    return bool(rules and rules[0]["allow"])


def _number(value: int) -> bytes:
    return struct.pack("<I", value)


def _bytes(value: bytes) -> bytes:
    return _number(len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(os.fsencode(value))


def _list(values: Sequence[_Value], element: Callable[[_Value], bytes]) -> bytes:
    return _number(len(values)) + b"".join(element(value) for value in values)


def _limit(limit: Mapping[str, Any]) -> bytes:
    name = limit["type"]
    number = _LOCKS if name == "RLIMIT_LOCKS" else getattr(resource, name, None)
    if number is None:
        raise ContainerError(f"resource limit {name} is not known here")
    values = (_UNLIMITED if limit[key] < 0 else limit[key] for key in ("soft", "hard"))
    return struct.pack("<IQQ", number, *values)


def _mount(mount: Mapping[str, Any]) -> bytes:
    attributes, options = _split(mount["options"])
    head = _text(mount["destination"]) + struct.pack("<Q", attributes)
    if mount["type"] == "bind":
        if options:
            name = options[0][0]
            raise ContainerError(
                f"mount {mount['destination']}: the built-in sandbox does not know option {name}"
            )
        return head + _number(0) + _text(mount["source"])
    # Of the two kinds of control groups only the new one has a file system that we can make.
    kind = "cgroup2" if mount["type"] == "cgroup" else mount["type"]
    pairs = _list(options, lambda pair: _text(pair[0]) + _text(pair[1]))
    return head + _number(1) + _text(kind) + _text(mount["source"]) + pairs


def _split(options: Iterable[str]) -> tuple[int, list[tuple[str, str]]]:
    """Attributes of the mount, and what is left for its file system."""
    attributes = 0
    left = []
    for option in options:
        if option in _ATTRIBUTES:
            attributes |= _ATTRIBUTES[option]
        elif option not in _NO_EFFECT:
            name, _, value = option.partition("=")
            left.append((name, value))
    return attributes, left
