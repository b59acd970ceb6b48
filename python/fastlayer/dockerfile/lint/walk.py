"""The stages as a build would go through them: each instruction with what it can see.

Checks of single instructions read these visits, so that no check keeps a state of its own. An
instruction that cannot be expanded ends its stage; the error is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastlayer.dockerfile.dockerfile import Dockerfile, Stage
from fastlayer.dockerfile.expansion import Expansion, expand_names
from fastlayer.dockerfile.instruction_expansion import (
    expand_instruction,
    expand_instruction_names,
)
from fastlayer.dockerfile.instructions import Arg, Copy, Env, Instruction, Run, Shell, Workdir
from fastlayer.dockerfile.lint.facts import BaseImage, Facts
from fastlayer.errors import DockerfileError
from fastlayer.value import Value

_SCRATCH = BaseImage(
    environment={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
)


class Visit(Value):
    """One instruction in its place.

    ``expanded`` has its variables replaced, ``environment`` is what it could see, ``unset`` what it
    looked up in vain and no ARG declares; empty where the base is not known. ``has_shell`` and
    ``has_workdir`` tell what came before.
    """

    stage: Stage
    instruction: Instruction
    expanded: Instruction
    environment: Mapping[str, str]
    unset: tuple[str, ...]
    has_shell: bool
    has_workdir: bool


class Opening(Value):
    """One FROM, expanded against the global arguments.

    ``parent`` is the stage that it starts from, or ``None``.
    ``base`` and ``platform`` tell which names were looked up; ``platform`` is ``None`` where there
    is no such flag. ``known`` are the names that a FROM may use; ``image`` is the base image, or
    ``None`` for a stage, ``scratch`` and what is not known.
    """

    stage: Stage
    parent: int | None
    base: Expansion
    platform: Expansion | None
    known: tuple[str, ...]
    environment: Mapping[str, str]
    image: BaseImage | None


class Walk(Value):
    """All of it; ``error`` is the first instruction's that cannot be expanded."""

    dockerfile: Dockerfile
    facts: Facts
    openings: tuple[Opening, ...]
    visits: tuple[Visit, ...]
    error: DockerfileError | None


class _State:
    """What a stage has come to."""

    def __init__(self, image: BaseImage | None) -> None:
        self.known = image is not None
        self.environment = dict(image.environment) if image else {}
        self.has_shell = image.has_shell if image else False
        self.has_workdir = False
        self.declared: set[str] = set()

    def copy(self) -> _State:
        made = _State(None)
        made.known = self.known
        made.environment = dict(self.environment)
        made.has_shell = self.has_shell
        made.has_workdir = self.has_workdir
        made.declared = set(self.declared)
        return made


class _Walker:
    def __init__(self, dockerfile: Dockerfile, facts: Facts) -> None:
        self._dockerfile = dockerfile
        self._facts = facts
        self._escape = dockerfile.directives.escape
        self._openings: list[Opening] = []
        self._visits: list[Visit] = []
        self._states: dict[int, _State] = {}
        self._error: DockerfileError | None = None

    def walk(self) -> Walk:
        try:
            names, values = self._global_arguments()
            for stage in self._dockerfile.stages:
                self._openings.append(self._open(stage, names, values))
            reachable = _reachable(self._openings, self._facts.target)
            for opening in self._openings:
                if opening.stage.index in reachable:
                    self._visit_all(opening, values)
        except DockerfileError as error:
            self._error = self._error or error
        return Walk(
            dockerfile=self._dockerfile,
            facts=self._facts,
            openings=tuple(self._openings),
            visits=tuple(self._visits),
            error=self._error,
        )

    def _global_arguments(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """The names that a FROM may use, and their values."""
        values = global_values(self._dockerfile, self._facts, self._facts.given)
        declared = [
            argument.key for arg in self._dockerfile.arguments for argument in arg.arguments
        ]
        return tuple(dict.fromkeys([*declared, *values])), values

    def _open(self, stage: Stage, names: tuple[str, ...], values: dict[str, str]) -> Opening:
        file, line = self._dockerfile.file, stage.span.first
        base = expand_names(stage.base, values, self._escape, file=file, line=line)
        platform = None
        if stage.platform:
            platform = expand_names(stage.platform, values, self._escape, file=file, line=line)
        earlier = self._dockerfile.stages[: stage.index]
        parent = _named(base.text, earlier)
        image = None
        if parent is None and base.text not in ("", "scratch") and self._facts.base:
            image = self._facts.base(base.text, platform.text if platform else "")
        return Opening(
            stage=stage,
            parent=parent,
            base=base,
            platform=platform,
            known=names,
            environment=values,
            image=image,
        )

    def _visit_all(self, opening: Opening, values: Mapping[str, str]) -> None:
        stage = opening.stage
        try:
            expand_instruction(stage.from_, values, self._escape, file=self._dockerfile.file)
        except DockerfileError as error:
            self._error = self._error or error
        if opening.parent is not None:
            state = self._states[opening.parent].copy()
        else:
            state = _State(_SCRATCH if opening.base.text == "scratch" else opening.image)
        self._states[stage.index] = state
        for instruction in stage.instructions:
            try:
                self._visit(stage, instruction, state, values)
            except DockerfileError as error:
                self._error = self._error or error
                return

    def _visit(
        self, stage: Stage, instruction: Instruction, state: _State, values: Mapping[str, str]
    ) -> None:
        environment = dict(state.environment)
        unset: frozenset[str] = frozenset()
        expanded = instruction
        if isinstance(instruction, Arg):
            unset = self._declare(instruction, state, values)
        else:
            found = expand_instruction_names(
                instruction, environment, self._escape, file=self._dockerfile.file
            )
            expanded, unset = found.instruction, found.unset
        names = sorted(unset - state.declared) if state.known else ()
        self._visits.append(
            Visit(
                stage=stage,
                instruction=instruction,
                expanded=expanded,
                environment=environment,
                unset=tuple(names),
                has_shell=state.has_shell,
                has_workdir=state.has_workdir,
            )
        )
        if isinstance(expanded, Env):
            state.environment |= {pair.key: pair.value for pair in expanded.pairs}
        state.has_shell |= isinstance(expanded, Shell)
        state.has_workdir |= isinstance(expanded, Workdir)

    def _declare(self, arg: Arg, state: _State, values: Mapping[str, str]) -> frozenset[str]:
        """Put the names of an ARG into the environment; gives those that it looked up in vain."""
        unset: set[str] = set()
        for argument in arg.arguments:
            value = self._facts.given.get(argument.key)
            if value is None and argument.default is not None:
                expansion = expand_names(
                    argument.default,
                    state.environment,
                    self._escape,
                    file=self._dockerfile.file,
                    line=arg.span.first,
                )
                value = expansion.text
                unset |= expansion.unset - state.declared
            elif value is None:
                value = values.get(argument.key)
            if value is not None:
                state.environment[argument.key] = value
            state.declared.add(argument.key)
        return frozenset(unset)


def walk(dockerfile: Dockerfile, facts: Facts) -> Walk:
    """Go through a Dockerfile."""
    return _Walker(dockerfile, facts).walk()


def global_values(dockerfile: Dockerfile, facts: Facts, given: Mapping[str, str]) -> dict[str, str]:
    """The values that a FROM can use, with the build arguments ``given``.

    Raises
    ------
    DockerfileError
        A default cannot be expanded.
    """
    values = {
        name: facts.given.get(name, value)
        for name, value in {**facts.predefined, "TARGETSTAGE": facts.target or "default"}.items()
    }
    for arg in dockerfile.arguments:
        for argument in arg.arguments:
            value = given.get(argument.key)
            if value is None and argument.default is not None:
                value = expand_names(
                    argument.default,
                    values,
                    dockerfile.directives.escape,
                    file=dockerfile.file,
                    line=arg.span.first,
                ).text
            if value is not None:
                values[argument.key] = value
    return values


def _named(name: str, stages: tuple[Stage, ...]) -> int | None:
    """The last of the stages with that name."""
    for stage in reversed(stages):
        if stage.name and stage.name == name.lower():
            return stage.index
    return None


def _reachable(openings: list[Opening], target: str) -> frozenset[int]:
    """The stages that a build of ``target`` needs; all of them where none is named."""
    stages = tuple(opening.stage for opening in openings)
    if not target:
        return frozenset(range(len(stages)))
    found: set[int] = set()
    pending = [stage.index for stage in stages if target.lower() in (stage.name, str(stage.index))]
    while pending:
        opening = openings[pending.pop()]
        if opening.stage.index not in found:
            found.add(opening.stage.index)
            pending += _needs(opening, stages)
    return frozenset(found)


def _needs(opening: Opening, stages: tuple[Stage, ...]) -> Iterator[int]:
    """The earlier stages that a stage starts from, copies from or mounts."""
    if opening.parent is not None:
        yield opening.parent
    earlier = stages[: opening.stage.index]
    for instruction in opening.stage.instructions:
        names: tuple[str, ...] = ()
        if isinstance(instruction, Copy):
            names = (instruction.from_,)
        elif isinstance(instruction, Run):
            names = tuple(flag.from_ for flag in instruction.mount_flags)
        for name in filter(None, names):
            index = _named(name, earlier)
            if index is None and name.isascii() and name.isdigit() and int(name) < len(earlier):
                index = int(name)
            if index is not None:
                yield index
