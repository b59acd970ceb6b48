"""A stage while it is being planned: the config and the variables in force, and the steps so far.

The one mutable thing of planning. Each family of steps reads it, appends its step and leaves its
mark on the config; nothing here touches a file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastlayer.builder.graph import Origin, Place, Step
from fastlayer.builder.scope import GlobalScope, StageScope
from fastlayer.errors import DockerfileError
from fastlayer.oci.config import ImageConfig, RuntimeConfig
from fastlayer.oci.platform import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")


@dataclass(slots=True)
class StageState:
    """What the next instruction of a stage sees."""

    config: ImageConfig
    globals: GlobalScope
    scope: StageScope
    platform: Platform
    find_origin: Callable[[str, Place, str], Origin]
    """Gives the origin that a ``from`` names; the last argument is the flag, for errors."""
    default_network: str = "default"
    secrets: frozenset[str] = frozenset()
    """Ids of the secrets that were given."""
    agents: frozenset[str] = frozenset()
    """Ids of the SSH agents that were given."""
    allowed: frozenset[str] = frozenset()
    """Entitlements that were given."""
    command_is_own: bool = False
    """Whether CMD was set in this stage."""
    steps: list[Step] = field(default_factory=list)

    @property
    def runtime(self) -> RuntimeConfig:
        """The runtime section as it is now."""
        return self.config.config

    @property
    def shell(self) -> tuple[str, ...]:
        """What stands in front of a shell form."""
        return self.runtime.shell if self.runtime.shell is not None else DEFAULT_SHELL

    @property
    def working_directory(self) -> str:
        """WORKDIR, absolute."""
        return posixpath.join("/", self.runtime.working_dir or "/")

    def variables(self) -> Mapping[str, str]:
        """What words are expanded with."""
        return self.scope.variables(self.runtime.environment())

    def absolute(self, path: str) -> str:
        """A path as seen from WORKDIR, cleaned; a slash at the end (or ``.``) is kept as one."""
        joined = posixpath.join(self.working_directory, path)
        clean = clean_path(joined)
        is_directory = path in {"", "."} or path.endswith(("/", "/."))
        return clean if clean == "/" or not is_directory else clean + "/"


def clean_path(path: str) -> str:
    """An absolute path without ``.``, ``..`` and doubled slashes."""
    return posixpath.normpath("/" + path.lstrip("/"))


def unsupported(what: str, place: Place, *, hint: str | None = None) -> DockerfileError:
    """The error for something that the Dockerfile asks for and fastlayer does not do."""
    return DockerfileError(f"{what} is not supported", file=place.file, line=place.line, hint=hint)
