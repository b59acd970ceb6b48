"""A user namespace for this process: an ordinary user becomes root in it, and only there.

Everything that RUN and containers need of the kernel (mounts, owners, other namespaces) is
allowed inside. With a range of subordinate ids (``/etc/subuid``, newuidmap) every id up to the
range's length exists; without one only root does, and files of other owners are recorded as
theirs although on disk they are the user's.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastlayer.store import enter_user_namespace

_INITIAL_MAP = ["0", "0", "4294967295"]
_TOOLS = ("newuidmap", "newgidmap")

_WriteMaps = Callable[[], bool]
"""Writes the maps; gives whether that worked."""


@dataclass(frozen=True, slots=True)
class IdRange:
    """Subordinate ids: the first, and how many follow one another."""

    first: int
    count: int


def is_nested() -> bool:
    """Whether this process is in a user namespace inside of the machine's own."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != _INITIAL_MAP
    except OSError:
        return False


def enter() -> bool:
    """Become root of a new user namespace, where this process is not root already.

    Only for a process with one thread, so at its very start. Nothing happens where the kernel
    forbids it: what needs the namespace says so itself.

    Returns
    -------
    Whether this process is root now, here or on the machine.
    """
    if os.geteuid() == 0:
        return True
    uid, gid = os.geteuid(), os.getegid()
    ranges = _ranges(uid)
    with _mapper(uid, gid, ranges) as write_maps:
        try:
            enter_user_namespace()
        except OSError:
            return False
        mapped = write_maps()
    if not mapped:
        _map_own_id(uid, gid)
    return os.geteuid() == 0


def give(path: Path, uid: int, gid: int) -> None:
    """Set a file's owner, as far as the ids exist in this process's namespace.

    Raises
    ------
    OSError
        It cannot be set although the ids exist.
    """
    try:
        os.chown(path, uid, gid, follow_symlinks=False)
    except OSError:
        if not is_nested():
            raise


def read_ranges(text: str, names: Sequence[str]) -> tuple[IdRange, ...]:
    """The ranges that a file of subordinate ids (``name:first:count``) gives to a user.

    Parameters
    ----------
    text:
        The file's content; malformed lines are skipped, as newuidmap does.
    names:
        The user's name and number.
    """
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
            found.append(IdRange(int(fields[1]), int(fields[2])))
    return tuple(found)


def map_arguments(own: int, ranges: Sequence[IdRange]) -> list[str]:
    """What newuidmap is told: root inside is ``own``, and the ranges follow from 1 on."""
    words = ["0", str(own), "1"]
    inside = 1
    for part in ranges:
        words += [str(inside), str(part.first), str(part.count)]
        inside += part.count
    return words


def _ranges(uid: int) -> tuple[tuple[IdRange, ...], tuple[IdRange, ...]] | None:
    """The user's ranges of user and group ids; ``None`` where one is missing, or a tool."""
    if any(shutil.which(tool) is None for tool in _TOOLS):
        return None
    names = [str(uid)]
    with contextlib.suppress(KeyError):
        names.append(pwd.getpwuid(uid).pw_name)
    users, groups = (
        read_ranges(_content(Path(path)), names) for path in ("/etc/subuid", "/etc/subgid")
    )
    return (users, groups) if users and groups else None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def _mapper(
    uid: int, gid: int, ranges: tuple[tuple[IdRange, ...], tuple[IdRange, ...]] | None
) -> Iterator[_WriteMaps]:
    """A process outside that writes this one's maps when it is told to."""
    if ranges is None:
        yield lambda: False
        return
    target = str(os.getpid())
    commands = [
        [_TOOLS[0], target, *map_arguments(uid, ranges[0])],
        [_TOOLS[1], target, *map_arguments(gid, ranges[1])],
    ]
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell)
        code = 1
        try:
            if os.read(told, 1):
                code = max(_run(command) for command in commands)
        finally:
            os._exit(code)
    os.close(told)
    waited = False

    def write_maps() -> bool:
        nonlocal waited
        os.write(tell, b"m")
        waited = True
        return os.waitpid(pid, 0)[1] == 0

    try:
        yield write_maps
    finally:
        os.close(tell)
        if not waited:
            os.waitpid(pid, 0)


def _run(command: Sequence[str]) -> int:
    done = subprocess.run(command, capture_output=True, check=False)
    return 1 if done.returncode else 0


def _map_own_id(uid: int, gid: int) -> None:
    # A map that exists (one of two was written) stays: then groups are what is missing.
    for name, text in (
        ("uid_map", f"0 {uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"0 {gid} 1"),
    ):
        with contextlib.suppress(OSError):
            Path("/proc/self", name).write_text(text)
