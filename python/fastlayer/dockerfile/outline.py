"""What can be asked of a Dockerfile: its targets, and what one of them takes from outside.

``docker build --call targets`` and ``--call outline``. Pure; variables are expanded only where a
FROM says so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from fastlayer.dockerfile.dockerfile import Dockerfile, Stage
from fastlayer.dockerfile.expansion import expand
from fastlayer.dockerfile.instructions import Arg, Argument, Copy, Run
from fastlayer.dockerfile.quantities import parse_truth
from fastlayer.errors import DockerfileError
from fastlayer.value import Value

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


class Target(Value):
    """A stage that can be built; ``name`` is empty for one without."""

    name: str
    description: str
    is_default: bool
    line: int


class OutlineArgument(Value):
    """A build argument, with the value that it would have."""

    name: str
    value: str
    description: str
    line: int


class OutlineNeed(Value):
    """A secret or an SSH agent by its id, and whether the build fails without it."""

    id: str
    required: bool
    line: int


class Outline(Value):
    """What a target takes from outside, in order of appearance."""

    target: Target
    arguments: tuple[OutlineArgument, ...]
    secrets: tuple[OutlineNeed, ...]
    agents: tuple[OutlineNeed, ...]


def targets(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """The stages, in order; the last one is built where nobody says otherwise."""
    last = len(dockerfile.stages) - 1
    return tuple(
        Target(
            name=stage.name,
            description=stage.description,
            is_default=stage.index == last,
            line=stage.span.first,
        )
        for stage in dockerfile.stages
    )


def outline(dockerfile: Dockerfile, target: str = "", given: Mapping[str, str] = {}) -> Outline:
    """What a target takes from outside.

    Parameters
    ----------
    dockerfile:
        The parsed file.
    target:
        A stage by name or number; the last one where it is empty.
    given:
        Values of build arguments.

    Raises
    ------
    DockerfileError
        There is no such stage.
    """
    stages = dockerfile.stages
    wanted = _find(stages, target, len(stages)) if target else len(stages) - 1
    if wanted is None or wanted < 0:
        raise DockerfileError(f"there is no stage {target}", file=dockerfile.file)
    values = _global_values(dockerfile, given)
    reached = _reached(dockerfile, wanted, values)
    return Outline(
        target=targets(dockerfile)[wanted],
        arguments=_arguments(dockerfile, reached, given, values),
        secrets=_needs(reached, "secret"),
        agents=_needs(reached, "ssh"),
    )


def _find(stages: tuple[Stage, ...], name: str, before: int) -> int | None:
    for stage in reversed(stages[:before]):
        if stage.name and stage.name == name.lower():
            return stage.index
    return int(name) if name.isdigit() and int(name) < before else None


def _global_values(dockerfile: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for instruction in dockerfile.arguments:
        for argument in instruction.arguments:
            value = given.get(argument.key, argument.default)
            if value is not None:
                values[argument.key] = _expanded(value, values, dockerfile)
    return values


def _expanded(text: str, values: Mapping[str, str], dockerfile: Dockerfile) -> str:
    try:
        return expand(text, values, dockerfile.directives.escape)
    except DockerfileError:
        return text  # what is wrong with it is told by a build


def _reached(dockerfile: Dockerfile, wanted: int, values: Mapping[str, str]) -> tuple[Stage, ...]:
    """The stages that a target needs, in order."""
    stages = dockerfile.stages
    found: set[int] = set()
    waiting = [wanted]
    while waiting:
        index = waiting.pop()
        if index in found:
            continue
        found.add(index)
        stage = stages[index]
        names = [_expanded(stage.base, values, dockerfile)]
        for instruction in stage.instructions:
            if isinstance(instruction, Copy) and instruction.from_:
                names.append(instruction.from_)
            elif isinstance(instruction, Run):
                names += [flag.from_ for flag in instruction.mount_flags if flag.from_]
        waiting += [place for name in names if (place := _find(stages, name, index)) is not None]
    return tuple(stages[index] for index in sorted(found))


def _arguments(
    dockerfile: Dockerfile,
    reached: tuple[Stage, ...],
    given: Mapping[str, str],
    values: Mapping[str, str],
) -> tuple[OutlineArgument, ...]:
    used = {name for stage in reached for name in _VARIABLE.findall(stage.base + stage.platform)}
    found: dict[str, OutlineArgument] = {}

    def add(argument: Argument, line: int) -> None:
        default = argument.default if argument.default is not None else values.get(argument.key)
        value = _expanded(given.get(argument.key, default or ""), values, dockerfile)
        known = found.get(argument.key)
        if known is None or (argument.description and not known.description):
            found[argument.key] = OutlineArgument(
                name=argument.key, value=value, description=argument.description, line=line
            )

    own = [i for stage in reached for i in stage.instructions if isinstance(i, Arg)]
    used |= {argument.key for instruction in own for argument in instruction.arguments}
    for instruction in (*dockerfile.arguments, *own):
        for argument in instruction.arguments:
            if argument.key in used:
                add(argument, instruction.span.first)
    return tuple(found.values())


def _needs(reached: tuple[Stage, ...], kind: str) -> tuple[OutlineNeed, ...]:
    found: dict[str, OutlineNeed] = {}
    for stage in reached:
        for instruction in stage.instructions:
            if not isinstance(instruction, Run):
                continue
            for flag in instruction.mount_flags:
                fields = dict(flag.fields)
                if fields.get("type") != kind:
                    continue
                name = _identity(fields, kind)
                required = _is_required(fields) or (name in found and found[name].required)
                found[name] = OutlineNeed(id=name, required=required, line=instruction.span.first)
    return tuple(found.values())


def _identity(fields: Mapping[str, str | None], kind: str) -> str:
    name = fields.get("id") or (fields.get("source") if kind == "secret" else None)
    if name:
        return name
    target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
    return "default" if kind == "ssh" else posixpath.basename(target)


def _is_required(fields: Mapping[str, str | None]) -> bool:
    if "required" not in fields:
        return False
    value = fields["required"]
    try:
        return value is None or parse_truth(value)
    except ValueError:
        return False
