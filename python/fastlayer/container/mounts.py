"""Mounts of a container: what docker mounts in every one, and what the user asks for.

Pure values and text; nothing here touches the file system.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from fastlayer.errors import UsageError

DEFAULT_SHM_SIZE = 64 * 1024 * 1024
"""Bytes of ``/dev/shm`` where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a process.

    Parameters
    ----------
    kind:
        ``bind``, ``tmpfs`` or another file system type.
    target:
        Absolute path in the container; links in it are followed inside the container's root.
    source:
        For a bind: the path on the host.
    read_only:
        Whether the container may not write through it.
    options:
        Further options in the runtime's words.
    is_directory:
        What the mount point is, where the image lacks it.
    """

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    options: tuple[str, ...] = field(default=())
    is_directory: bool = True

    def runtime_form(self) -> dict[str, object]:
        """The mount as an entry of the runtime's ``config.json``."""
        access = ("ro",) if self.read_only else ()
        if self.kind == "bind":
            options = ("rbind", "rprivate", *self.options, *access)
            return {
                "destination": self.target,
                "type": "bind",
                "source": self.source,
                "options": list(options),
            }
        return {
            "destination": self.target,
            "type": self.kind,
            "source": self.source or self.kind,
            "options": [*self.options, *access],
        }


def standard_mounts(
    *, shm_size: int = DEFAULT_SHM_SIZE, cgroup: bool = True, privileged: bool = False
) -> tuple[Mount, ...]:
    """What docker mounts in every container, in the order in which it must be mounted.

    Parameters
    ----------
    shm_size:
        Bytes of ``/dev/shm``.
    cgroup:
        Whether ``/sys/fs/cgroup`` is mounted.
    privileged:
        Whether ``/sys`` and the control groups may be written.
    """
    safe = ("nosuid", "noexec", "nodev")
    mounts = [
        Mount("proc", "/proc", options=safe),
        Mount("tmpfs", "/dev", options=("nosuid", "strictatime", "mode=755", "size=65536k")),
        Mount(
            "devpts",
            "/dev/pts",
            options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        Mount("sysfs", "/sys", options=safe, read_only=not privileged),
    ]
    if cgroup:
        mounts.append(Mount("cgroup", "/sys/fs/cgroup", options=safe, read_only=not privileged))
    mounts.append(Mount("mqueue", "/dev/mqueue", options=safe))
    mounts.append(
        Mount("tmpfs", "/dev/shm", "shm", options=(*safe, "mode=1777", f"size={shm_size}"))
    )
    return tuple(mounts)


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """``-v HOST:CONTAINER[:ro]``, as text; ``source`` is empty for an anonymous volume."""

    source: str
    target: str
    read_only: bool


def parse_volume(text: str) -> VolumeRequest:
    """Read the argument of ``-v``.

    Raises
    ------
    UsageError
        The form is wrong, or it asks for what is not supported (named volumes, labels).
    """
    parts = text.split(":")
    if len(parts) == 1:
        return VolumeRequest("", _target(parts[0], text), False)
    if len(parts) > 3 or not parts[0]:
        raise UsageError(f"invalid volume: {text}", hint="write -v /host/path:/container/path[:ro]")
    source, target = parts[0], _target(parts[1], text)
    if not source.startswith(("/", "./", "../")) and source not in {".", ".."}:
        raise UsageError(
            f"volume {text}: named volumes are not supported",
            hint=f"give a directory of the host, as in -v ./{source}:{target}",
        )
    read_only = False
    for option in parts[2].split(",") if len(parts) == 3 else []:
        if option not in {"ro", "rw", "rprivate"}:
            raise UsageError(f"volume {text}: option {option} is not supported")
        read_only = read_only or option == "ro"
    return VolumeRequest(source, target, read_only)


def _target(path: str, text: str) -> str:
    if not path.startswith("/"):
        raise UsageError(f"volume {text}: the container's path must be absolute")
    clean = posixpath.normpath(path)
    if clean in {"/", "//"}:
        raise UsageError(f"volume {text}: the container's path cannot be /")
    return clean
