"""Which variables an instruction can see: the scopes of ARG and ENV.

Global ARGs stand before the first FROM and count in FROM lines only; a stage must declare them
again. Of an ENV and an ARG with a value of the same name the later one in a stage wins, and an
ENV of the base over any ARG of it; the image has the ENV's value always. Proxy settings may be
given without an ARG: then the processes of RUN see them, but neither history nor cache key does.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fastlayer.dockerfile import Arg
from fastlayer.oci.platform import Platform

PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PROXIES = frozenset({*PROXY_NAMES, *(name.lower() for name in PROXY_NAMES)})
"""Build arguments that need no ARG."""

EPOCH_ARGUMENT = "SOURCE_DATE_EPOCH"
"""The time that nothing in the image is later than."""
KEEP_GIT_ARGUMENT = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
"""Whether a context that is a repository keeps its ``.git``."""
CACHE_NAMESPACE_ARGUMENT = "BUILDKIT_CACHE_MOUNT_NS"
"""Parts the cache mounts of builds that give different ones."""
HOSTNAME_ARGUMENT = "BUILDKIT_SANDBOX_HOSTNAME"
"""The host's name as the processes of RUN see it."""

SETTINGS = frozenset(
    {
        EPOCH_ARGUMENT,
        "BUILDKIT_DOCKERFILE_CHECK",
        KEEP_GIT_ARGUMENT,
        CACHE_NAMESPACE_ARGUMENT,
        HOSTNAME_ARGUMENT,
    }
)
"""Build arguments that are settings of the build itself, and need no ARG either."""

Expand = Callable[[Arg, Mapping[str, str]], Arg]
"""Expands the defaults of an ARG with variables."""


def platform_arguments(target: Platform, build: Platform, target_stage: str) -> dict[str, str]:
    """The platform ARGs, which are there without being given."""
    values = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        values[f"{prefix}PLATFORM"] = str(platform)
        values[f"{prefix}OS"] = platform.os
        values[f"{prefix}OSVERSION"] = platform.os_version
        values[f"{prefix}ARCH"] = platform.architecture
        values[f"{prefix}VARIANT"] = platform.variant
    values["TARGETSTAGE"] = target_stage
    return values


class GlobalScope:
    """The ARGs before the first FROM, with platform ARGs and ``--build-arg`` values.

    Parameters
    ----------
    declared:
        The ARG instructions, in order.
    given:
        ``--build-arg`` values.
    platform:
        The platform ARGs; ``given`` wins over them.
    expand:
        Expands defaults.
    """

    def __init__(
        self,
        declared: Iterable[Arg],
        given: Mapping[str, str],
        platform: Mapping[str, str],
        expand: Expand,
    ) -> None:
        self.given = dict(given)
        self.consumed: set[str] = set()
        self._platform = {**platform, **{k: v for k, v in given.items() if k in platform}}
        self.variables = dict(self._platform)
        """What FROM lines see."""
        for instruction in declared:
            for argument in expand(instruction, dict(self.variables)).arguments:
                if argument.key in given:
                    self.consumed.add(argument.key)
                    self.variables[argument.key] = given[argument.key]
                elif argument.default is not None:
                    self.variables[argument.key] = argument.default

    def settle(self, name: str, value: str | None) -> None:
        """Give a global ARG another value; ``None`` takes it away."""
        for values in (self.given, self.variables):
            if name in values:
                del values[name]
                if value is not None:
                    values[name] = value

    def value(self, name: str) -> str | None:
        """What an ARG without a default gets in a stage."""
        return self.variables.get(name)

    def proxies(self, declared: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Proxy settings that were given and not declared."""
        skip = set(declared)
        return tuple(
            (name, value)
            for name, value in self.given.items()
            if name in PROXIES and name not in skip
        )

    def unused(self) -> list[str]:
        """Build arguments that no ARG asked for."""
        known = self.consumed | PROXIES | SETTINGS | set(self._platform)
        return [name for name in self.given if name not in known]


class StageScope:
    """The ARGs of one stage, as they are declared one after the other.

    A stage that starts from another one inherits the values of that stage's; its history shows only
    those that it declares itself.
    """

    def __init__(self, outer: GlobalScope, inherited: Mapping[str, str | None]) -> None:
        self._outer = outer
        self.arguments: dict[str, str | None] = dict(inherited)
        """By name in order of declaration; ``None`` is declared without a value."""
        self._own: dict[str, None] = {}
        self._winning: set[str] = set()

    def declare(self, instruction: Arg) -> None:
        """Take an expanded ARG in: ``--build-arg``, else its default, else the global's value."""
        for argument in instruction.arguments:
            name = argument.key
            if name in self._outer.given:
                self._outer.consumed.add(name)
                value: str | None = self._outer.given[name]
            elif argument.default is not None:
                value = argument.default
            else:
                value = self._outer.value(name)
            if value is None:
                value = self.arguments.get(name)
            else:
                self._winning.add(name)
            self.arguments[name] = value
            self._own[name] = None

    def hide(self, names: Iterable[str]) -> None:
        """Take in that an ENV sets these names."""
        self._winning.difference_update(names)

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What words are expanded with, and what RUN sees: ENV, and ARGs it does not hide."""
        declared = {name: value for name, value in self.arguments.items() if value is not None}
        hiding = {name: environment[name] for name in environment if name not in self._winning}
        return {**environment, **declared, **hiding}

    def shown(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The ARGs as the history of a RUN shows them."""
        seen = self.variables(environment)
        return {name: seen.get(name, "") for name in self._own}
