"""What a caller asks of a build, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastlayer.oci.platform import Platform

if TYPE_CHECKING:
    from fastlayer.container.spec import Ulimit

NETWORKS = ("default", "host", "none")
"""The values of ``--network``."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: the bytes of a file, or of a variable of the caller's environment."""

    id: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the processes of RUN get besides what the Dockerfile says."""

    extra_hosts: tuple[tuple[str, str], ...] = ()
    """Names and addresses for the hosts file."""
    shm_size: int | None = None
    """Bytes of ``/dev/shm``; ``None`` is the default."""
    ulimits: tuple[Ulimit, ...] = ()

    def key_parts(self) -> tuple[str, ...]:
        """What of it a step can see, for its cache key."""
        hosts = tuple(f"host {name} {address}" for name, address in self.extra_hosts)
        limits = tuple(f"ulimit {one.name} {one.soft} {one.hard}" for one in self.ulimits)
        shm = () if self.shm_size is None else (f"shm {self.shm_size}",)
        return (*hosts, *limits, *shm)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The settings of a build; the defaults are ``docker build``'s."""

    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    """The stage to build; the last one where empty."""
    network: str = "default"
    use_cache: bool = True
    strict_cache: bool = False
    platform: Platform | None = None
    """This machine's where it is ``None``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    run: RunSettings = field(default_factory=RunSettings)
