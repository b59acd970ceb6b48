"""Variables in instructions: which parts of which instruction are expanded, and against what.

The environment is the state before the instruction: ``ENV a=1 b=$a`` uses the old ``a``; only the
defaults of one ARG see each other. RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK leave their commands
to the shell; ONBUILD's trigger is expanded where it fires; ``--from`` never is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastlayer.dockerfile.expansion import Expansion, WordReader
from fastlayer.dockerfile.instructions import (
    Add,
    Arg,
    Argument,
    Copy,
    Env,
    Expose,
    From,
    InlineFile,
    Instruction,
    KeyValue,
    Label,
    Run,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from fastlayer.dockerfile.mount_flags import resolve_mount
from fastlayer.dockerfile.ports import parse_port
from fastlayer.dockerfile.signals import check_signal
from fastlayer.dockerfile.source import InstructionError, fail
from fastlayer.dockerfile.suggestion import did_you_mean
from fastlayer.dockerfile.transfers import check_mode, is_remote
from fastlayer.value import Value


class ExpandedInstruction(Value):
    """An instruction with its variables replaced, and the names that were looked up for it."""

    instruction: Instruction
    used: frozenset[str]
    unset: frozenset[str]


class _Expander:
    """Expands words, and remembers the names."""

    def __init__(self, environment: Mapping[str, str], escape: str) -> None:
        self.environment = environment
        self.escape = escape
        self.used: set[str] = set()
        self.unset: set[str] = set()

    def word(self, text: str) -> str:
        return self._read(WordReader(text, self.environment, self.escape)).text

    def pattern(self, text: str) -> str:
        return self._read(WordReader(text, self.environment, self.escape, pattern=True)).text

    def words(self, text: str) -> tuple[str, ...]:
        return self._read(WordReader(text, self.environment, self.escape)).words

    def content(self, text: str) -> str:
        return self._read(WordReader(text, self.environment, "\\", quotes=False)).text

    def _read(self, reader: WordReader) -> Expansion:
        try:
            expansion = reader.read()
        except ValueError as error:
            raise InstructionError(str(error), token=reader.text) from None
        self.used |= expansion.used
        self.unset |= expansion.unset
        return expansion


def expand_instruction_names(
    instruction: Instruction,
    environment: Mapping[str, str],
    escape: str = "\\",
    *,
    file: str | None = None,
) -> ExpandedInstruction:
    """Replace the variables of an instruction, and tell which names were looked up.

    Parameters
    ----------
    instruction:
        The instruction as parsed.
    environment:
        The variables set before it: those of ENV, and of ARG that are declared.
    escape:
        The file's escape character.
    file:
        The file's name, for messages.

    Raises
    ------
    DockerfileError
        A word breaks the grammar, or a value is not allowed once expanded.
    """
    expander = _Expander(environment, escape)
    rule = _RULES.get(type(instruction))
    try:
        expanded = rule(instruction, expander) if rule else instruction
    except InstructionError as error:
        column = instruction.original.find(error.token) + 1 if error.token else 1
        fail(
            error.message,
            hint=error.hint,
            file=file,
            line=instruction.span.first,
            column=column or 1,
            source=instruction.original,
            length=len(error.token) or None,
        )
    return ExpandedInstruction(
        instruction=expanded, used=frozenset(expander.used), unset=frozenset(expander.unset)
    )


def expand_instruction(
    instruction: Instruction,
    environment: Mapping[str, str],
    escape: str = "\\",
    *,
    file: str | None = None,
) -> Instruction:
    """Replace the variables of an instruction; see :func:`expand_instruction_names`.

    Raises
    ------
    DockerfileError
        A word breaks the grammar, or a value is not allowed once expanded.
    """
    return expand_instruction_names(instruction, environment, escape, file=file).instruction


def _from(instruction: From, expander: _Expander) -> From:
    base = expander.word(instruction.base)
    if not base:
        raise InstructionError(
            f"base name ({instruction.base}) should not be blank",
            hint=_hint(expander),
            token=instruction.base,
        )
    platform = expander.word(instruction.platform)
    if instruction.platform and not platform:
        raise InstructionError(
            f"empty platform value from expression {instruction.platform}",
            hint=_hint(expander),
            token=instruction.platform,
        )
    return instruction.replace(base=base, platform=platform)


def _hint(expander: _Expander) -> str | None:
    """What to do about the first name that is not set."""
    for name in sorted(expander.unset):
        return did_you_mean(name, expander.environment, prefix="$") or (
            f"declare ARG {name} before the first FROM, or give it by --build-arg {name}=VALUE"
        )
    return None


def _arg(instruction: Arg, expander: _Expander) -> Arg:
    outer = expander.environment
    arguments: list[Argument] = []
    try:
        for argument in instruction.arguments:
            if argument.default is not None:
                value = expander.word(argument.default)
                argument = argument.replace(default=value)
                expander.environment = {**expander.environment, argument.key: value}
            arguments.append(argument)
    finally:
        expander.environment = outer
    return instruction.replace(arguments=tuple(arguments))


def _run(instruction: Run, expander: _Expander) -> Run:
    mounts = tuple(resolve_mount(flag, expander.word) for flag in instruction.mount_flags)
    return instruction.replace(mounts=mounts)


def _transfer(instruction: Transfer, expander: _Expander) -> Transfer:
    chown = expander.word(instruction.chown)
    chmod = expander.word(instruction.chmod)
    check_mode(chmod)
    return instruction.replace(
        chown=chown,
        chmod=chmod,
        sources=tuple(expander.pattern(source) for source in instruction.sources),
        contents=tuple(_inline(content, expander) for content in instruction.contents),
        destination=expander.word(instruction.destination),
    )


def _inline(content: InlineFile, expander: _Expander) -> InlineFile:
    if not content.expand:
        return content
    return content.replace(content=expander.content(content.content), expand=False)


def _copy(instruction: Copy, expander: _Expander) -> Transfer:
    if expander.word(instruction.from_) != instruction.from_:
        raise InstructionError(
            "variable expansion is not supported for --from",
            hint="define a new stage with FROM using ARG from global scope",
            token=instruction.from_,
        )
    expanded = _transfer(instruction, expander)
    for source in expanded.sources:
        if is_remote(source):
            raise InstructionError("source can't be a URL for COPY", hint="use ADD", token=source)
    return expanded


def _add(instruction: Add, expander: _Expander) -> Transfer:
    checksum = expander.word(instruction.checksum)
    expanded = _transfer(instruction.replace(checksum=checksum), expander)
    if checksum and len(expanded.sources) != 1:
        raise InstructionError("checksum can't be specified for multiple sources", token=checksum)
    if checksum and not is_remote(expanded.sources[0]):
        raise InstructionError("checksum requires HTTP(S) or Git sources", token=checksum)
    return expanded


def _pairs(instruction: Env | Label, expander: _Expander) -> Env | Label:
    pairs = tuple(
        KeyValue(expander.word(pair.key), expander.word(pair.value), legacy=pair.legacy)
        for pair in instruction.pairs
    )
    if not all(pair.key for pair in pairs):
        raise InstructionError(f"{instruction.name} names can not be blank")
    return instruction.replace(pairs=pairs)


def _workdir(instruction: Workdir, expander: _Expander) -> Workdir:
    return instruction.replace(path=expander.word(instruction.path))


def _user(instruction: User, expander: _Expander) -> User:
    return instruction.replace(user=expander.word(instruction.user))


def _stop_signal(instruction: StopSignal, expander: _Expander) -> StopSignal:
    signal = expander.word(instruction.signal)
    check_signal(signal)
    return instruction.replace(signal=signal)


def _volume(instruction: Volume, expander: _Expander) -> Volume:
    paths = tuple(expander.word(path) for path in instruction.paths)
    for written, path in zip(instruction.paths, paths, strict=True):
        if not path:
            raise InstructionError("VOLUME specified can not be an empty string", token=written)
    return instruction.replace(paths=paths)


def _expose(instruction: Expose, expander: _Expander) -> Expose:
    words = [word for port in instruction.ports for word in expander.words(port)]
    return instruction.replace(ports=tuple(port for word in words for port in parse_port(word)))


_RULES: dict[type[Instruction], Callable[..., Instruction]] = {
    Add: _add,
    Arg: _arg,
    Copy: _copy,
    Env: _pairs,
    Expose: _expose,
    From: _from,
    Label: _pairs,
    Run: _run,
    StopSignal: _stop_signal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
