"""Checks of FROM: arguments, platforms, and what the base image is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastlayer.dockerfile.expansion import expand_names
from fastlayer.dockerfile.lint import rules
from fastlayer.dockerfile.lint.rules import Finding
from fastlayer.dockerfile.lint.walk import Opening, Walk, global_values
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.suggestion import suggest
from fastlayer.errors import DockerfileError

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm"}
_PLATFORM = re.compile(r"[A-Za-z0-9_.-]+(\([A-Za-z0-9_.+-]*\))?(/[A-Za-z0-9_.-]+){0,2}\Z")


def undeclared_arguments(walk: Walk) -> Iterator[Finding]:
    """UndefinedArgInFrom."""
    for opening in walk.openings:
        unset = set(opening.base.unset)
        if opening.platform:
            unset |= opening.platform.unset
        for name in sorted(unset - set(opening.known)):
            message = f"FROM argument '{name}' is not declared"
            near = suggest(name, opening.known)
            if near:
                message += f" (did you mean {near}?)"
            yield _finding(rules.UNDEFINED_ARG_IN_FROM, opening, message)


def default_arguments(walk: Walk) -> Iterator[Finding]:
    """InvalidDefaultArgInFrom: the base's name where no ``--build-arg`` is given."""
    dockerfile = walk.dockerfile
    try:
        values = global_values(dockerfile, walk.facts, {})
        for stage in dockerfile.stages:
            name = expand_names(stage.base, values, dockerfile.directives.escape).text
            if not is_reference(name):
                yield Finding(
                    rules.INVALID_DEFAULT_ARG_IN_FROM,
                    stage.from_.span,
                    f"Default value for ARG {stage.base} results in empty or invalid base image "
                    "name",
                )
    except DockerfileError:
        return  # told about where it is expanded for good


def redundant_platforms(walk: Walk) -> Iterator[Finding]:
    """RedundantTargetPlatform: the flag is ``$TARGETPLATFORM`` and nothing else."""
    for opening in walk.openings:
        platform = opening.platform
        if platform is None or platform.unset or platform.used != {"TARGETPLATFORM"}:
            continue
        if platform.text == opening.environment.get("TARGETPLATFORM"):
            yield _finding(
                rules.REDUNDANT_TARGET_PLATFORM,
                opening,
                f"Setting platform to predefined {opening.stage.platform} in FROM is redundant as "
                "this is the default behavior",
            )


def constant_platforms(walk: Walk) -> Iterator[Finding]:
    """FromPlatformFlagConstDisallowed; allowed where the stage's name tells the platform."""
    for opening in walk.openings:
        platform = opening.platform
        if platform is None or platform.used or platform.unset:
            continue
        if not _PLATFORM.match(platform.text):
            continue
        name = opening.stage.name
        if not any(part in name for part in platform_parts(platform.text) if part):
            yield _finding(
                rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED,
                opening,
                f"FROM --platform flag should not use constant value {quote(platform.text)}",
            )


def base_platforms(walk: Walk) -> Iterator[Finding]:
    """InvalidBaseImagePlatform: the base image is for another platform than is built."""
    for opening in walk.openings:
        if opening.image is None or not opening.image.platform:
            continue
        wanted = opening.environment.get("TARGETPLATFORM", "")
        if opening.platform and opening.platform.text:
            wanted = opening.platform.text
        actual = opening.image.platform
        if wanted and platform_parts(wanted) != platform_parts(actual):
            yield _finding(
                rules.INVALID_BASE_IMAGE_PLATFORM,
                opening,
                f"Base image {opening.base.text} was pulled with platform {quote(actual)}, "
                f"expected {quote(wanted)} for current build",
            )


def platform_parts(platform: str) -> tuple[str, str]:
    """The system and the architecture of ``system/architecture[/variant]``; either may be empty."""
    system, _, rest = platform.lower().partition("/")
    system = system.partition("(")[0]
    architecture = rest.partition("/")[0]
    if not rest and system not in ("linux", "windows", "darwin", "freebsd"):
        system, architecture = "", system
    return system, _ARCHITECTURES.get(architecture, architecture)


_REFERENCE = re.compile(
    r"""
    (?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*
      |\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?                                          # host
    [a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*  # path
    (?::[\w][\w.-]{0,127})?                                                       # tag
    (?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?\Z  # digest
    """,
    re.VERBOSE | re.ASCII,
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}\Z")


def is_reference(name: str) -> bool:
    """Whether a name can be that of an image."""
    return bool(_REFERENCE.match(name)) and not _IDENTIFIER.match(name)


def _finding(rule: rules.Rule, opening: Opening, message: str) -> Finding:
    return Finding(rule, opening.stage.from_.span, message, opening.stage.from_.comments)
