"""From a parsed Dockerfile to a plan: only the stages that the target needs, every word expanded.

Stages are planned when first asked for, beginning with the target, so that the base of a stage
that nobody needs is never looked at. A stage may take from earlier ones only, which rules cycles
out. Pure but for the one function that finds base images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastlayer.builder.graph import (
    BaseImage,
    ConfigStep,
    FromContext,
    FromImage,
    FromStage,
    LayerStep,
    Origin,
    Place,
    Plan,
    PlannedStage,
    Step,
)
from fastlayer.builder.options import BuildOptions, plain_name
from fastlayer.builder.own_layers import CONTEXT_EPOCH, parse_epoch
from fastlayer.builder.scope import (
    EPOCH_ARGUMENT,
    GlobalScope,
    StageScope,
    platform_arguments,
)
from fastlayer.builder.state import StageState, unsupported
from fastlayer.builder.steps import config_step, file_step, run_step, workdir_step
from fastlayer.dockerfile import (
    Add,
    Arg,
    Copy,
    Dockerfile,
    Instruction,
    Run,
    Stage,
    Workdir,
    expand,
    expand_instruction,
    parse_trigger,
    suggest,
)
from fastlayer.errors import BuildError, DockerfileError, ImageNotFoundError, UsageError
from fastlayer.oci import mutate
from fastlayer.oci.config import RuntimeConfig, empty_config
from fastlayer.oci.platform import Platform, host_platform, parse_platform
from fastlayer.oci.reference import fetch_hint, parse_reference
from fastlayer.value import replace

SCRATCH = "scratch"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""``PATH`` of a stage that starts from scratch, or from an image without one."""

_Base = BaseImage | FromStage | FromContext | None
"""What a stage starts from; ``None`` is scratch, a context the files of a directory."""

FindImage = Callable[[str, Platform], BaseImage]
"""Finds an image of the store by its name; raises ImageNotFoundError."""


def make_plan(
    dockerfile: Dockerfile,
    options: BuildOptions,
    find_image: FindImage,
    context_time: Callable[[], int | None] = lambda: None,
) -> Plan:
    """Plan a build.

    Parameters
    ----------
    dockerfile:
        The parsed Dockerfile.
    options:
        The build's settings.
    find_image:
        Finds base images.
    context_time:
        The context's own time in seconds since 1970; ``None`` where it has none.

    Raises
    ------
    DockerfileError
        The Dockerfile asks for what does not exist or is not supported.
    BuildError
        The target stage does not exist.
    """
    return _Planner(dockerfile, options, find_image, context_time).plan()


class _Planner:
    def __init__(
        self,
        dockerfile: Dockerfile,
        options: BuildOptions,
        find_image: FindImage,
        context_time: Callable[[], int | None],
    ) -> None:
        self._dockerfile = dockerfile
        self._options = options
        self._find_image = find_image
        self._escape = dockerfile.directives.escape
        self._host = host_platform()
        self._platform = options.platform or self._host
        self._states: dict[int, StageState] = {}
        self._stages: dict[int, PlannedStage] = {}
        platform = platform_arguments(self._platform, self._host, options.target or "default")
        self._globals = GlobalScope(
            dockerfile.arguments, options.build_args, platform, self._expand_argument
        )
        self._warnings: list[tuple[str, int]] = []
        self._epoch = self._find_epoch(context_time)

    def plan(self) -> Plan:
        target = self._target()
        self._check_names()
        self._stage(target)
        if self._options.labels:
            stage = self._stages[target]
            section = mutate.add_labels(stage.runtime, self._options.labels.items())
            labelled = mutate.with_runtime(stage.config, section)
            self._stages[target] = stage.replace(config=labelled)
        unused = self._globals.unused()
        if unused:
            names = ", ".join(unused)
            text = f"build arguments that no ARG of the target declares: {names}"
            self._warnings.append((text, 0))
        return Plan(
            file=self._dockerfile.file,
            stages=dict(sorted(self._stages.items())),
            target=target,
            warnings=tuple(self._warnings),
            epoch=self._epoch,
        )

    def _find_epoch(self, context_time: Callable[[], int | None]) -> int | None:
        """The time that ``SOURCE_DATE_EPOCH`` gives as a build argument or as a global ARG."""
        scope = self._globals
        text = scope.given.get(EPOCH_ARGUMENT) or scope.variables.get(EPOCH_ARGUMENT)
        if not text:
            return None
        if text == CONTEXT_EPOCH:
            time = context_time()
            scope.settle(EPOCH_ARGUMENT, None if time is None else str(time))
            if time is None:
                reason = "the context has no time of its own"
                self._warnings.append((f"{EPOCH_ARGUMENT}=context has no effect: {reason}", 0))
            return time
        try:
            return parse_epoch(text)
        except UsageError as error:
            lines = [
                one.span.first
                for one in self._dockerfile.arguments
                if any(argument.key == EPOCH_ARGUMENT for argument in one.arguments)
            ]
            line = lines[-1] if lines else 0
            raise DockerfileError(
                f"ARG {error.message}", hint=error.hint, file=self._dockerfile.file, line=line
            ) from error

    def _target(self) -> int:
        stages, wanted = self._dockerfile.stages, self._options.target
        if not stages:
            raise BuildError(f"{self._dockerfile.file}: there is no FROM: nothing to build")
        if not wanted:
            return len(stages) - 1
        found = self._stage_index(wanted, len(stages))
        if found is None:
            raise BuildError(
                f"{self._dockerfile.file}: there is no stage {wanted}",
                hint=self._suggestion(wanted, len(stages)),
            )
        return found

    def _check_names(self) -> None:
        """Refuse a ``--no-cache-filter`` for a stage that does not exist."""
        count = len(self._dockerfile.stages)
        for name in sorted(self._options.no_cache_stages):
            if self._stage_index(name, count) is None:
                raise BuildError(
                    f"{self._dockerfile.file}: there is no stage {name} to run without the cache",
                    hint=self._suggestion(name, count),
                )

    def _stage_index(self, name: str, before: int) -> int | None:
        """The stage of a name or number among those before an index."""
        lowered = name.lower()
        for stage in reversed(self._dockerfile.stages[:before]):
            if stage.name and stage.name == lowered:
                return stage.index
        if name.isdigit() and int(name) < before:
            return int(name)
        return None

    def _suggestion(self, name: str, before: int) -> str | None:
        names = [stage.name for stage in self._dockerfile.stages[:before] if stage.name]
        if not names:
            return None
        close = suggest(name.lower(), names)
        return f"did you mean {close}?" if close else f"the stages are {', '.join(names)}"

    # One stage.

    def _stage(self, index: int) -> StageState:
        """Plan a stage, once; gives the state that it ends with."""
        if index in self._states:
            return self._states[index]
        stage = self._dockerfile.stages[index]
        place = Place(self._dockerfile.file, stage.from_.span.first)
        base, reference = self._base(stage, place)
        state = self._start(stage, base, place)
        if isinstance(base, FromContext):
            state.steps.append(file_step.whole_context(base, reference, place))
        triggers = state.runtime.on_build
        if triggers:
            state.config = mutate.with_runtime(state.config, replace(state.runtime, on_build=()))
        for trigger in triggers:
            instruction = parse_trigger(trigger, file=place.file, span=stage.from_.span)
            self._instruction(instruction, f"ONBUILD {trigger}", state, place)
        for instruction in stage.instructions:
            where = Place(self._dockerfile.file, instruction.span.first)
            self._instruction(instruction, instruction.original, state, where)
        self._states[index] = state
        self._stages[index] = self._finish(stage, base, reference, state, place)
        return state

    def _base(self, stage: Stage, place: Place) -> tuple[_Base, str]:
        """What a stage starts from, and its name in full."""
        name = self._expand(stage.base, place)
        if not name:
            raise DockerfileError(
                f"FROM {stage.base}: the name is empty after expansion",
                file=place.file,
                line=place.line,
                hint="declare the ARG before the first FROM and give it a default",
            )
        named = self._named_image(name, self._stage_platform(stage, place), place, stage.index)
        if named is not None:
            return named, named.reference
        if plain_name(name) in self._options.directory_names:
            return FromContext(plain_name(name)), name
        earlier = self._stage_by_name(name, stage.index)
        if earlier is not None:
            self._stage(earlier)
            return FromStage(earlier), name
        if name == SCRATCH:
            return None, name
        image = self._image(name, self._stage_platform(stage, place), place, stage.index)
        return image, image.reference

    def _stage_by_name(self, name: str, before: int) -> int | None:
        """As :meth:`_stage_index`, but a number is no name: FROM takes names only."""
        return None if name.isdigit() else self._stage_index(name, before)

    def _stage_platform(self, stage: Stage, place: Place) -> Platform:
        text = self._expand(stage.platform, place)
        return parse_platform(text) if text else self._platform

    def _start(self, stage: Stage, base: _Base, place: Place) -> StageState:
        platform = self._stage_platform(stage, place)
        inherited: Mapping[str, str | None] = {}
        if isinstance(base, FromStage):
            parent = self._states[base.index]
            config, inherited = parent.config, parent.scope.arguments
            platform = parent.platform
        elif not isinstance(base, BaseImage):
            section = RuntimeConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/")
            config = mutate.with_runtime(empty_config(platform), section)
        else:
            config = replace(base.config, diff_ids=(), history=(), raw=None)
            if not any(one.startswith("PATH=") for one in config.config.env):
                # An imported tar has none, and `ENV PATH=/opt/bin:$PATH` must not be all there is.
                section = replace(config.config, env=(*config.config.env, f"PATH={DEFAULT_PATH}"))
                config = mutate.with_runtime(config, section)
        return StageState(
            config=config,
            globals_=self._globals,
            scope=StageScope(self._globals, inherited),
            platform=platform,
            find_origin=lambda name, where, flag: self._origin(name, where, flag, stage.index),
            default_network=self._options.network,
            secrets=frozenset(self._options.secrets),
            agents=frozenset(self._options.agents),
            allowed=self._options.allowed,
        )

    def _instruction(
        self, instruction: Instruction, written: str, state: StageState, place: Place
    ) -> None:
        try:
            expanded = expand_instruction(instruction, state.variables(), self._escape)
        except DockerfileError as error:
            raise _placed(error, place) from error
        match expanded:
            case Run():
                run_step.plan(expanded, written, state, place)
            case Copy() | Add():
                file_step.plan(expanded, written, state, place)
            case Workdir():
                workdir_step.plan(expanded, written, state, place)
            case _:
                if not config_step.plan(expanded, state):
                    raise unsupported(instruction.name, place)

    def _finish(
        self,
        stage: Stage,
        base: _Base,
        reference: str,
        state: StageState,
        place: Place,
    ) -> PlannedStage:
        """Number the steps that are shown, and freeze the stage."""
        name = stage.name or f"stage-{stage.index}"
        shown = name if stage.name or len(self._dockerfile.stages) > 1 else ""
        from_image = isinstance(base, BaseImage)
        total = sum(isinstance(step, LayerStep) for step in state.steps) + from_image
        steps: list[Step] = []
        number = int(from_image)
        for step in state.steps:
            if isinstance(step, ConfigStep):
                steps.append(step)
                continue
            number += 1
            steps.append(step.replace(name=f"{_head(shown, number, total)} {step.name}"))
        return PlannedStage(
            index=stage.index,
            name=name,
            place=place,
            base=None if isinstance(base, FromContext) else base,
            base_text=f"{_head(shown, 1, total)} FROM {reference}" if from_image else "",
            steps=tuple(steps),
            config=state.config,
        )

    # What a stage takes from.

    def _origin(self, name: str, place: Place, flag: str, index: int) -> Origin:
        """The stage or image that a ``from`` names; empty is the context."""
        if not name:
            return FromContext()
        if plain_name(name) in self._options.directory_names:
            return FromContext(plain_name(name))
        named = self._named_image(name, self._platform, place, index)
        if named is not None:
            return FromImage(named)
        earlier = self._stage_index(name, index)
        if earlier is not None:
            self._stage(earlier)
            return FromStage(earlier)
        if name.isdigit():
            raise DockerfileError(
                f"{flag}={name}: there is no stage {name} before this one",
                file=place.file,
                line=place.line,
                hint=f"stages count from 0; this one is {index}",
            )
        self._refuse_later(f"{flag}={name}", name, index, place)
        return FromImage(self._image(name, self._platform, place, index))

    def _refuse_later(self, what: str, name: str, index: int, place: Place) -> None:
        later = self._stage_index(name, len(self._dockerfile.stages))
        if later is None:
            return
        order = "is this stage itself" if later == index else "comes after this stage"
        raise DockerfileError(
            f"{what}: {name} {order}",
            file=place.file,
            line=place.line,
            hint="a stage can take from earlier stages only",
        )

    def _named_image(
        self, name: str, platform: Platform, place: Place, index: int
    ) -> BaseImage | None:
        """The image that ``--build-context`` puts in the place of a name."""
        wanted = self._options.image_names.get(plain_name(name))
        return None if wanted is None else self._image(wanted, platform, place, index)

    def _image(self, name: str, platform: Platform, place: Place, index: int) -> BaseImage:
        try:
            return self._find_image(name, platform)
        except ImageNotFoundError as error:
            self._refuse_later(f"FROM {name}", name, index, place)
            reference = parse_reference(name).with_default_tag().canonical
            suggestion = self._suggestion_if_close(name, index)
            raise DockerfileError(
                f"image {reference} is not in the store",
                file=place.file,
                line=place.line,
                hint=suggestion or fetch_hint(name),
            ) from error

    def _suggestion_if_close(self, name: str, before: int) -> str | None:
        hint = self._suggestion(name, before)
        return hint if hint is not None and hint.startswith("did you mean") else None

    # Words.

    def _expand(self, word: str, place: Place) -> str:
        try:
            return expand(word, self._globals.variables, self._escape)
        except DockerfileError as error:
            raise _placed(error, place) from error

    def _expand_argument(self, instruction: Arg, variables: Mapping[str, str]) -> Arg:
        try:
            expanded = expand_instruction(instruction, variables, self._escape)
        except DockerfileError as error:
            place = Place(self._dockerfile.file, instruction.span.first)
            raise _placed(error, place) from error
        assert isinstance(expanded, Arg)
        return expanded


def _head(shown: str, number: int, total: int) -> str:
    width = len(str(total))
    return f"[{shown} {number:{width}}/{total}]" if shown else f"[{number:{width}}/{total}]"


def _placed(error: DockerfileError, place: Place) -> DockerfileError:
    """The error with its file and line, where it has none."""
    return DockerfileError(
        error.message,
        hint=error.hint,
        file=error.file or place.file,
        line=error.line or place.line,
        column=error.column,
        source=error.source,
    )
