"""``--change``: Dockerfile instructions applied to an image config, as import and commit do.

Eleven instructions count; each changes the config alone and makes no history of its own.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from fastlayer import dockerfile
from fastlayer.errors import DockerfileError, UsageError
from fastlayer.oci.config import Healthcheck, ImageConfig, RuntimeConfig
from fastlayer.oci.mutate import (
    add_labels,
    add_ports,
    add_volumes,
    set_environment,
    with_runtime,
)
from fastlayer.value import replace

VALID = frozenset(
    {
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
"""The instructions that a change may be."""

_FILE = "--change"

DEFAULT_SHELL = ("/bin/sh", "-c")
"""What runs shell forms where the image sets no SHELL."""


def apply_changes(config: ImageConfig, changes: Iterable[str]) -> ImageConfig:
    """The config with the changes made, one after the other.

    Parameters
    ----------
    config:
        What they start from.
    changes:
        Texts of instructions: ``CMD ["sh"]``, ``ENV A=1``.

    Raises
    ------
    UsageError
        An instruction that is none of :data:`VALID`.
    DockerfileError
        A text that is no instruction.
    """
    section = config.config
    command_set = False
    for text in changes:
        word, rest = _split(text)
        try:
            if word == "ONBUILD":
                dockerfile.parse_trigger(rest, file=_FILE)  # it must be an instruction
                section = replace(section, on_build=(*section.on_build, rest))
                continue
            section = _changed(section, text, command_set=command_set)
        except DockerfileError as error:
            raise DockerfileError(
                error.message, hint=error.hint, file=f"{_FILE} {text!r}"
            ) from error
        command_set = command_set or word == "CMD"
    return with_runtime(config, section)


def _changed(section: RuntimeConfig, text: str, *, command_set: bool) -> RuntimeConfig:
    instruction = dockerfile.parse_trigger(text, file=_FILE)
    instruction = dockerfile.expand_instruction(instruction, section.environment())
    changed = apply_instruction(section, instruction, command_set=command_set)
    if changed is None:
        raise DockerfileError(f"{instruction.name} is not a valid change command", file=_FILE)
    return changed


def _split(text: str) -> tuple[str, str]:
    """The instruction's name in upper case, and what follows it."""
    word, *rest = text.split(maxsplit=1) or [""]
    if word.upper() not in VALID:
        raise UsageError(
            f"{word.upper() or text!r} is not a valid change command",
            hint=f"it must be one of {', '.join(sorted(VALID))}",
        )
    return word.upper(), "".join(rest).strip()


def apply_instruction(
    section: RuntimeConfig, instruction: dockerfile.Instruction, *, command_set: bool
) -> RuntimeConfig | None:
    """The section after one instruction of :data:`VALID` but ONBUILD; None for any other.

    Parameters
    ----------
    section:
        What it changes.
    instruction:
        The instruction, its variables expanded.
    command_set:
        Whether CMD was set by the same author: else ENTRYPOINT drops it, for it was inherited.
    """
    match instruction:
        case dockerfile.Cmd():
            return replace(section, cmd=_command(section, instruction.command))
        case dockerfile.Entrypoint():
            return replace(
                section,
                entrypoint=_command(section, instruction.command),
                cmd=section.cmd if command_set else None,
            )
        case dockerfile.Env():
            for pair in instruction.pairs:
                section = set_environment(section, pair.key, pair.value)
            return section
        case dockerfile.Label():
            return add_labels(section, ((pair.key, pair.value) for pair in instruction.pairs))
        case dockerfile.Expose():
            return add_ports(section, instruction.ports)
        case dockerfile.Volume():
            return add_volumes(section, instruction.paths)
    return _apply_plain(section, instruction)


def _apply_plain(
    section: RuntimeConfig, instruction: dockerfile.Instruction
) -> RuntimeConfig | None:
    match instruction:
        case dockerfile.Healthcheck():
            return replace(section, healthcheck=_healthcheck(instruction))
        case dockerfile.StopSignal():
            return replace(section, stop_signal=instruction.signal)
        case dockerfile.User():
            return replace(section, user=instruction.user)
        case dockerfile.Workdir():
            path = posixpath.join(section.working_dir or "/", instruction.path)
            return replace(section, working_dir=posixpath.normpath(path).replace("//", "/"))
    return None


def _command(section: RuntimeConfig, command: dockerfile.CommandLine) -> tuple[str, ...]:
    shell = section.shell or DEFAULT_SHELL
    return (*shell, *command.words) if command.shell else command.words


def _healthcheck(instruction: dockerfile.Healthcheck) -> Healthcheck:
    return Healthcheck(
        test=instruction.test,
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )
