"""The Dockerfile language: bytes in, frozen values out; no I/O, nothing about building.

::

    parse(data, *, file="Dockerfile") -> Dockerfile
    parse_trigger(expression, *, file="Dockerfile", span=...) -> Instruction
    expand(word, environment, escape="\\\\", *, line=None) -> str
    expand_words(word, environment, escape="\\\\", *, line=None) -> tuple[str, ...]
    expand_names(word, environment, escape="\\\\", *, line=None) -> Expansion  # text, used, unset
    expand_instruction(instruction, environment, escape="\\\\") -> Instruction
    parse_ignore(data) -> tuple[str, ...]

The values are frozen; ``value.replace(field=...)`` makes a changed copy. Every error is a
:class:`fastlayer.errors.DockerfileError` with file, line and the text of the line.
"""

from __future__ import annotations

from fastlayer.dockerfile.dockerfile import Directives, Dockerfile, ParseWarning, Stage
from fastlayer.dockerfile.expansion import (
    Expansion,
    expand,
    expand_content,
    expand_names,
    expand_words,
)
from fastlayer.dockerfile.heredocs import Heredoc
from fastlayer.dockerfile.ignore import parse_ignore
from fastlayer.dockerfile.instruction_expansion import (
    ExpandedInstruction,
    expand_instruction,
    expand_instruction_names,
)
from fastlayer.dockerfile.instructions import (
    INSTRUCTIONS,
    Add,
    Arg,
    Argument,
    Cmd,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    InlineFile,
    Instruction,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from fastlayer.dockerfile.mounts import (
    BindMount,
    CacheMount,
    Mount,
    MountFlag,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from fastlayer.dockerfile.parsing import parse
from fastlayer.dockerfile.reading import parse_trigger
from fastlayer.dockerfile.source import Span
from fastlayer.dockerfile.suggestion import suggest

__all__ = [
    "INSTRUCTIONS",
    "Add",
    "Arg",
    "Argument",
    "BindMount",
    "CacheMount",
    "Cmd",
    "CommandLine",
    "Copy",
    "Directives",
    "Dockerfile",
    "Entrypoint",
    "Env",
    "ExpandedInstruction",
    "Expansion",
    "Expose",
    "From",
    "Healthcheck",
    "Heredoc",
    "InlineFile",
    "Instruction",
    "KeyValue",
    "Label",
    "Maintainer",
    "Mount",
    "MountFlag",
    "Onbuild",
    "ParseWarning",
    "Run",
    "SecretMount",
    "Shell",
    "Span",
    "SshMount",
    "Stage",
    "StopSignal",
    "TmpfsMount",
    "Transfer",
    "User",
    "Volume",
    "Workdir",
    "expand",
    "expand_content",
    "expand_instruction",
    "expand_instruction_names",
    "expand_names",
    "expand_words",
    "parse",
    "parse_ignore",
    "parse_trigger",
    "suggest",
]
