"""The files that make a network usable inside: resolv.conf, hosts and hostname.

They are written beside the container and bind-mounted, so they never are in a layer.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from fastlayer.container.mounts import Mount
from fastlayer.errors import UsageError

NETWORKS = ("default", "host", "none")
"""Networks a process can have; ``default`` is the host's until private networks exist."""

_LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def effective_network(name: str) -> str:
    """``host`` or ``none`` for a network's name.

    Raises
    ------
    UsageError
        There is no such network.
    """
    if name not in NETWORKS:
        raise UsageError(
            f"network {name} is not supported", hint=f"use one of {', '.join(NETWORKS)}"
        )
    return "none" if name == "none" else "host"


def host_name() -> str:
    """The machine's own name."""
    return socket.gethostname()


def parse_extra_host(text: str) -> tuple[str, str]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS`` (``--add-host``) as (name, address).

    Raises
    ------
    UsageError
        The form is wrong, or the address is none.
    """
    separator = "=" if "=" in text else ":"
    name, found, address = text.partition(separator)
    if address == "host-gateway":
        address = "127.0.0.1"  # the host's own network is ours
    address = address.removeprefix("[").removesuffix("]")
    if not found or not name or not _is_address(address):
        raise UsageError(f"bad format for add-host: {text}", hint="write --add-host name:address")
    return name, address


def write_files(
    directory: Path, hostname: str, network: str, extra_hosts: Sequence[tuple[str, str]]
) -> tuple[Mount, ...]:
    """Write the three files below a directory; gives the mounts that show them inside."""
    contents = {
        "resolv.conf": _read_host_file("/etc/resolv.conf"),
        "hostname": f"{hostname}\n",
        "hosts": hosts_text(
            _read_host_file("/etc/hosts") if network == "host" else _LOCAL_HOSTS,
            hostname,
            extra_hosts,
        ),
    }
    mounts = []
    for name, content in contents.items():
        path = directory / name
        path.write_text(content, encoding="utf-8", errors="surrogateescape")
        path.chmod(0o644)
        mounts.append(Mount("bind", f"/etc/{name}", str(path), is_directory=False))
    return tuple(mounts)


def hosts_text(base: str, hostname: str, extra_hosts: Sequence[tuple[str, str]]) -> str:
    """A hosts file: the base, the own name where it lacks it, and then what was added."""
    text = base if base.endswith("\n") or not base else f"{base}\n"
    names = {name for line in text.splitlines() for name in line.partition("#")[0].split()[1:]}
    if "localhost" not in names:
        text = _LOCAL_HOSTS + text
    if hostname not in names:
        text += f"127.0.0.1\t{hostname}\n"
    return text + "".join(f"{address}\t{name}\n" for name, address in extra_hosts)


def _read_host_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # a host without the file has nothing to hand on


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False
