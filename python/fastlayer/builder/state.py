"""A stage while it is being planned: the config and the variables in force, and the steps so far.

The one mutable thing of planning. Each family of steps reads it, appends its step and leaves its
mark on the config; nothing here touches a file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from fastlayer.builder.graph import Origin, Place, Step
from fastlayer.builder.scope import GlobalScope, StageScope
from fastlayer.errors import DockerfileError
from fastlayer.oci.config import ImageConfig, RuntimeConfig
from fastlayer.oci.platform import Platform

DEFAULT_SHELL = ("/bin/sh", "-c")


class StageState:
    """What the next instruction of a stage sees.

    Parameters
    ----------
    config:
        The image's configuration so far.
    globals_:
        The arguments before the first FROM.
    scope:
        The stage's own arguments.
    platform:
        What the stage is built for.
    find_origin:
        Gives the origin that a ``from`` names; the last argument is the flag, for errors.
    default_network:
        What RUN has where it says nothing itself.
    secrets, agents:
        Ids of the secrets and of the SSH agents that were given.
    allowed:
        Entitlements that were given.
    """

    # Written out, since every build imports it: see decisions/values-without-generated-code.md.
    __slots__ = (
        "agents",
        "allowed",
        "command_is_own",
        "config",
        "default_network",
        "find_origin",
        "globals",
        "platform",
        "scope",
        "secrets",
        "steps",
    )

    def __init__(
        self,
        *,
        config: ImageConfig,
        globals_: GlobalScope,
        scope: StageScope,
        platform: Platform,
        find_origin: Callable[[str, Place, str], Origin],
        default_network: str,
        secrets: frozenset[str],
        agents: frozenset[str],
        allowed: frozenset[str],
    ) -> None:
        self.config = config
        self.globals = globals_
        self.scope = scope
        self.platform = platform
        self.find_origin = find_origin
        self.default_network = default_network
        self.secrets = secrets
        self.agents = agents
        self.allowed = allowed
        self.command_is_own = False
        """Whether CMD was set in this stage."""
        self.steps: list[Step] = []

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
