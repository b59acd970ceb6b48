"""Linux capabilities: docker's default set, and how ``--cap-add`` and ``--cap-drop`` change it.

Pure: tables and set arithmetic. The order of the tables is the kernel's, so that a set is always
written the same way.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastlayer.errors import UsageError

# fmt: off
ALL = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
        "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
        "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
        "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
        "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
        "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    )
)
"""Every capability, by its number in the kernel."""

_DEFAULT_NAMES = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
        "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
)
# fmt: on

DEFAULT = tuple(name for name in ALL if name in _DEFAULT_NAMES)
"""The fourteen that docker leaves to a container."""


def adjust(add: Iterable[str], drop: Iterable[str]) -> tuple[str, ...]:
    """The default set with some added and some dropped; ``ALL`` stands for every one.

    Parameters
    ----------
    add, drop:
        Names with or without ``CAP_``, in any case. A name in both is dropped, as docker does,
        unless the other list says ``ALL``.

    Raises
    ------
    UsageError
        A name is not a capability.
    """
    added = {normalise(name) for name in add}
    dropped = {normalise(name) for name in drop}
    if "ALL" in added:
        chosen = set(ALL) - dropped
    elif "ALL" in dropped:
        chosen = added
    else:
        chosen = {*_DEFAULT_NAMES, *added} - dropped
    return tuple(name for name in ALL if name in chosen)


def normalise(name: str) -> str:
    """``net_admin`` as ``CAP_NET_ADMIN``; ``all`` as ``ALL``."""
    upper = name.upper()
    if upper in {"ALL", "CAP_ALL"}:
        return "ALL"
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in ALL:
        raise UsageError(f"unknown capability: {name}", hint="see `man 7 capabilities`")
    return full


def within(names: Iterable[str], mask: int) -> tuple[str, ...]:
    """Those whose bit is set in a mask: what a kernel knows and this process may hand on."""
    wanted = set(names)
    return tuple(name for bit, name in enumerate(ALL) if name in wanted and mask >> bit & 1)


def mask(names: Iterable[str]) -> int:
    """The set as one bit for each, by the kernel's numbers."""
    return sum(1 << ALL.index(name) for name in set(names))
