"""Instructions that change the config alone: pure functions of the runtime section.

ENV, LABEL, EXPOSE, VOLUME, USER, STOPSIGNAL, SHELL, CMD, ENTRYPOINT, HEALTHCHECK, ONBUILD,
MAINTAINER and ARG. What they change stands in the stage's config at once; the graph gets only the
line of history.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastlayer.builder.graph import ConfigStep
from fastlayer.builder.state import StageState
from fastlayer.dockerfile import (
    Arg,
    Cmd,
    CommandLine,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from fastlayer.image.change import apply_instruction
from fastlayer.oci import created_by, mutate
from fastlayer.oci.config import RuntimeConfig
from fastlayer.value import replace


def plan(instruction: Instruction, state: StageState) -> bool:
    """Apply an expanded instruction to the stage; whether it is of this family."""
    if isinstance(instruction, Arg):
        state.scope.declare(instruction)
    elif isinstance(instruction, Maintainer):
        state.config = mutate.with_author(state.config, instruction.author)
    else:
        if isinstance(instruction, Env):
            state.scope.hide(pair.key for pair in instruction.pairs)
        section = _change(instruction, state)
        if section is None:
            return False
        state.config = mutate.with_runtime(state.config, section)
    text = _history(instruction, state)
    if text:
        state.steps.append(ConfigStep(created_by=text))
    return True


def with_shell(command: CommandLine, shell: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a command, the shell in front where its form is the shell's."""
    return (*shell, *command.words) if command.shell else command.words


def _change(instruction: Instruction, state: StageState) -> RuntimeConfig | None:
    runtime = state.runtime
    if isinstance(instruction, Shell):
        return replace(runtime, shell=instruction.words)
    if isinstance(instruction, Onbuild):
        return replace(runtime, on_build=(*runtime.on_build, instruction.expression))
    section = apply_instruction(runtime, instruction, command_set=state.command_is_own)
    if section is not None and isinstance(instruction, Cmd):
        state.command_is_own = True
        return replace(section, args_escaped=True)
    return section


def _history(instruction: Instruction, state: StageState) -> str:
    """The instruction's line of history; empty for none."""
    match instruction:
        case Arg():
            names = [argument.key for argument in instruction.arguments]
            text = created_by.arg((name, state.scope.arguments[name]) for name in names)
        case Env():
            text = created_by.env(_pairs(instruction.pairs))
        case Label():
            text = created_by.label(_pairs(instruction.pairs))
        case Expose():
            text = created_by.expose(instruction.ports)
        case Cmd():
            text = created_by.cmd(state.runtime.cmd or ())
        case Entrypoint():
            text = created_by.entrypoint(state.runtime.entrypoint or ())
        case Healthcheck():
            check = state.runtime.healthcheck
            text = "" if check is None else created_by.healthcheck(check)
        case User():
            text = created_by.user(instruction.user)
        case StopSignal():
            text = created_by.stopsignal(instruction.signal)
        case Volume():
            text = created_by.volume(instruction.paths)
        case Shell():
            text = created_by.shell(instruction.words)
        case Maintainer():
            text = created_by.maintainer(instruction.author)
        case _:
            text = ""
    return text


def _pairs(pairs: Sequence[KeyValue]) -> list[tuple[str, str]]:
    return [(pair.key, pair.value) for pair in pairs]
