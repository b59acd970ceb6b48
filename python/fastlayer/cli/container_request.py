"""The options that run gives a container, read from their texts. Pure but for files named in them.

Shared by the commands that create containers; knows nothing of click.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fastlayer.container.mounts import Mount, parse_volume
from fastlayer.container.spec import Ulimit
from fastlayer.errors import UsageError

HOST_NETWORK_WARNING = "WARNING: Published ports are discarded when using host network mode"
"""What docker says of ``-p`` with the host's network."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_MOUNT_FIELDS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
}
_ULIMITS = frozenset(
    {
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    }
)


def read_environment(
    files: Iterable[str], settings: Iterable[str], own: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """``--env-file`` and ``-e`` as pairs, the files first.

    A name alone takes the value of ``own``, and is left out where that has none.

    Raises
    ------
    UsageError
        A file cannot be read, or a line has no name.
    """
    lines: list[str] = []
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the env file {name}: {error}") from error
        stripped = (line.lstrip() for line in text.splitlines())
        lines += [line for line in stripped if line and not line.startswith("#")]
    return _pairs([*lines, *settings], own)


def read_labels(files: Iterable[str], settings: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """``--label-file`` and ``-l`` as pairs; a name alone has an empty value."""
    lines: list[str] = []
    for name in files:
        try:
            lines += [line for line in Path(name).read_text().splitlines() if line.strip()]
        except OSError as error:
            raise UsageError(f"cannot read the label file {name}: {error.strerror}") from error
    return tuple((n, v) for n, _, v in (line.partition("=") for line in [*lines, *settings]))


def read_volumes(texts: Iterable[str]) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    """``-v`` as mounts of the host's paths, and the targets of anonymous volumes.

    A missing path of the host is made as a directory, as docker does.

    Raises
    ------
    UsageError
        A form that is wrong or not supported, or two mounts at one place.
    """
    mounts, anonymous = [], []
    seen: set[str] = set()
    for text in texts:
        request = parse_volume(text)
        if request.target in seen:
            raise UsageError(f"duplicate mount point: {request.target}")
        seen.add(request.target)
        if not request.source:
            anonymous.append(request.target)
            continue
        source = Path(os.path.abspath(request.source))
        if not source.exists():
            try:
                source.mkdir(parents=True)
            except OSError as error:
                raise UsageError(
                    f"volume {text}: cannot make {source}: {error.strerror}"
                ) from error
        mounts.append(
            Mount(
                "bind",
                request.target,
                str(source),
                request.read_only,
                is_directory=source.is_dir(),
            )
        )
    return tuple(mounts), tuple(anonymous)


def read_mounts(texts: Iterable[str]) -> tuple[Mount, ...]:
    """``--mount type=bind,src=HOST,dst=CTR[,ro]`` and ``type=tmpfs,dst=CTR[,tmpfs-size=N]``.

    Raises
    ------
    UsageError
        A field is missing or unknown, a type is not supported, or a source does not exist.
    """
    return tuple(_read_mount(text) for text in texts)


def _read_mount(text: str) -> Mount:
    fields = {}
    for part in text.split(","):
        name, found, value = part.partition("=")
        fields[_MOUNT_FIELDS.get(name, name)] = value if found else "true"
    kind = fields.pop("type", "volume")
    target = fields.pop("target", "")
    read_only = fields.pop("readonly", "false") in {"true", "1"}
    if kind not in {"bind", "tmpfs"}:
        raise UsageError(f"--mount {text}: type {kind} is not supported", hint="bind or tmpfs")
    if not target.startswith("/"):
        raise UsageError(f"--mount {text}: target must be an absolute path")
    target = os.path.normpath(target)
    if kind == "tmpfs":
        names = {"tmpfs-size": "size", "tmpfs-mode": "mode"}
        options = [f"{names[n]}={fields.pop(n)}" for n in list(fields) if n in names]
        mount = Mount(
            "tmpfs", target, read_only=read_only, options=("nosuid", "nodev", "noexec", *options)
        )
    else:
        source = Path(os.path.abspath(fields.pop("source", "")))
        if not source.exists():
            raise UsageError(f"--mount {text}: the source path {source} does not exist")
        mount = Mount("bind", target, str(source), read_only, is_directory=source.is_dir())
    if fields:
        raise UsageError(f"--mount {text}: {', '.join(sorted(fields))} is not supported")
    return mount


def read_tmpfs(texts: Iterable[str]) -> tuple[Mount, ...]:
    """``--tmpfs PATH[:OPTIONS]`` as mounts."""
    mounts = []
    for text in texts:
        target, _, options = text.partition(":")
        if not target.startswith("/"):
            raise UsageError(f"tmpfs {text}: the container's path must be absolute")
        given = tuple(option for option in options.split(",") if option)
        chosen = ("nosuid", "nodev", *(() if "exec" in given else ("noexec",)), *given)
        mounts.append(Mount("tmpfs", os.path.normpath(target), options=chosen))
    return tuple(mounts)


def read_ports(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """``-p [[IP:]HOST:]CONTAINER[/PROTOCOL]`` as (text, ``80/tcp``) pairs.

    Raises
    ------
    UsageError
        A port is no number from 1 to 65535, or a range.
    """
    ports = []
    for text in texts:
        mapping, _, protocol = text.partition("/")
        parts = mapping.rsplit(":", 2)
        numbers = [parts[-1], *([parts[-2]] if len(parts) > 1 and parts[-2] else [])]
        for number in numbers:
            if not (number.isascii() and number.isdigit() and 0 < int(number) < 65536):
                raise UsageError(
                    f"invalid port: {text}", hint="write -p HOST:CONTAINER, as 8080:80"
                )
        if protocol not in {"", "tcp", "udp", "sctp"}:
            raise UsageError(f"invalid protocol in -p {text}: {protocol}")
        ports.append((text, f"{int(parts[-1])}/{protocol or 'tcp'}"))
    return tuple(ports)


def read_size(text: str, option: str) -> int:
    """Bytes of ``64m``, ``1g``, ``4096``.

    Raises
    ------
    UsageError
        No size; the message names the option.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"invalid size for {option}: {text}", hint="write a number and k, m or g")
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def read_ulimits(texts: Iterable[str]) -> tuple[Ulimit, ...]:
    """``--ulimit NAME=SOFT[:HARD]``; -1 is no limit.

    Raises
    ------
    UsageError
        An unknown name, or no numbers.
    """
    unlimited = 2**64 - 1
    limits = []
    for text in texts:
        name, _, values = text.partition("=")
        soft_text, found, hard_text = values.partition(":")
        try:
            soft = int(soft_text)
            hard = int(hard_text) if found else soft
        except ValueError:
            raise UsageError(f"invalid ulimit: {text}", hint="as nofile=1024:2048") from None
        if name not in _ULIMITS:
            raise UsageError(f"invalid ulimit type: {name}")
        limits.append(
            Ulimit(name, unlimited if soft < 0 else soft, unlimited if hard < 0 else hard)
        )
    return tuple(limits)


def _pairs(lines: Iterable[str], own: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in lines:
        name, found, value = line.partition("=")
        if not name or name != name.strip():
            raise UsageError(f"invalid environment variable: {line}")
        if found:
            pairs.append((name, value))
        elif name in own:
            pairs.append((name, own[name]))
    return tuple(pairs)
