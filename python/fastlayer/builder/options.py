"""What a caller asks of a build, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastlayer.oci.platform import Platform
from fastlayer.value import Value

if TYPE_CHECKING:
    from fastlayer.container.spec import Ulimit

NETWORKS = ("default", "host", "none")
"""The values of ``--network``."""


def plain_name(name: str) -> str:
    """The name of a further context as it is compared: small letters, no default tag."""
    return name.lower().removesuffix(":latest")


class Secret(Value, kw_only=False):
    """A secret: the bytes of a file, or of a variable of the caller's environment."""

    id: str
    content: bytes

    def __repr__(self) -> str:
        return f"Secret({self.id!r})"


class RunSettings(Value, kw_only=False):
    """What the processes of RUN get besides what the Dockerfile says."""

    extra_hosts: tuple[tuple[str, str], ...] = ()
    """Names and addresses for the hosts file."""
    shm_size: int | None = None
    """Bytes of ``/dev/shm``; ``None`` is the default."""
    ulimits: tuple[Ulimit, ...] = ()
    hostname: str = ""
    """The host's name; empty is the default."""

    def key_parts(self) -> tuple[str, ...]:
        """What of it a step can see, for its cache key."""
        hosts = tuple(f"host {name} {address}" for name, address in self.extra_hosts)
        limits = tuple(f"ulimit {one.name} {one.soft} {one.hard}" for one in self.ulimits)
        shm = () if self.shm_size is None else (f"shm {self.shm_size}",)
        name = (f"hostname {self.hostname}",) if self.hostname else ()
        return (*hosts, *limits, *shm, *name)


class BuildOptions(Value):
    """The settings of a build; the defaults are ``docker build``'s."""

    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = {}
    target: str = ""
    """The stage to build; the last one where empty."""
    network: str = "default"
    use_cache: bool = True
    strict_cache: bool = False
    platform: Platform | None = None
    """This machine's where it is ``None``."""
    labels: Mapping[str, str] = {}
    secrets: Mapping[str, Secret] = {}
    agents: Mapping[str, str] = {}
    """Sockets of SSH agents, by id."""
    allowed: frozenset[str] = frozenset()
    """Entitlements: ``security.insecure``."""
    run: RunSettings = RunSettings()
    squash: bool = False
    """Make one layer of all that the build adds to its base."""
    no_cache_stages: frozenset[str] = frozenset()
    """Names or numbers of stages all of whose steps run."""
    contexts: Mapping[str, str] = {}
    """Places of further contexts, by name as written."""
    directory_names: frozenset[str] = frozenset()
    """Names (see :func:`plain_name`) of further contexts that are files."""
    image_names: Mapping[str, str] = {}
    """Those that are images, and what the store calls these."""
    annotations: Mapping[str, str] = {}
    """Of the manifest, in archives of the type ``oci``."""
