"""Checks of the instructions of a stage, each with what it can see."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastlayer.dockerfile.expansion import expand_words
from fastlayer.dockerfile.ignore import clean_path
from fastlayer.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Transfer,
    Workdir,
)
from fastlayer.dockerfile.lint import rules
from fastlayer.dockerfile.lint.rules import Finding
from fastlayer.dockerfile.lint.walk import Visit, Walk
from fastlayer.dockerfile.ports import split_port
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import Span
from fastlayer.dockerfile.suggestion import suggest

_SECRET = re.compile(
    r"(?:_|\A)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(?:_|\A)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)
_ONCE = (Cmd, Entrypoint, Healthcheck)
#: Arguments that are for the builder, and never in the environment.
_BUILDER_ARGUMENTS = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")
#: Ignore patterns that leave nothing of the context.
_EVERYTHING = ("*", "**", "**/*")


def undefined_variables(walk: Walk) -> Iterator[Finding]:
    """UndefinedVar."""
    for visit in walk.visits:
        for name in visit.unset:
            if name in _BUILDER_ARGUMENTS:
                continue
            message = f"Usage of undefined variable '${name}'"
            near = suggest(name, visit.environment)
            if near:
                message += f" (did you mean ${near}?)"
            yield _finding(rules.UNDEFINED_VAR, visit, message)


def relative_workdirs(walk: Walk) -> Iterator[Finding]:
    """WorkdirRelativePath: the first WORKDIR of a line of stages."""
    for visit in walk.visits:
        instruction = visit.expanded
        if not isinstance(instruction, Workdir) or visit.has_workdir:
            continue
        if not instruction.path.startswith("/"):
            yield _finding(
                rules.WORKDIR_RELATIVE_PATH,
                visit,
                f"Relative workdir {quote(instruction.path)} can have unexpected results if the "
                "base image changes",
            )


def shell_forms(walk: Walk) -> Iterator[Finding]:
    """JSONArgsRecommended; a SHELL that was set on purpose is no mistake."""
    for visit in walk.visits:
        instruction = visit.instruction
        if not isinstance(instruction, Cmd | Entrypoint) or visit.has_shell:
            continue
        if instruction.command.shell:
            yield _finding(
                rules.JSON_ARGS_RECOMMENDED,
                visit,
                f"JSON arguments recommended for {instruction.keyword} to prevent unintended "
                "behavior related to OS signals",
            )


def repeated_instructions(walk: Walk) -> Iterator[Finding]:
    """MultipleInstructionsDisallowed, at the one that has no effect."""
    last: dict[tuple[int, type[Instruction]], Span] = {}
    for visit in walk.visits:
        instruction = visit.instruction
        if not isinstance(instruction, _ONCE):
            continue
        key = (visit.stage.index, type(instruction))
        if key in last:
            yield Finding(
                rules.MULTIPLE_INSTRUCTIONS_DISALLOWED,
                last[key],
                f"Multiple {instruction.keyword} instructions should not be used in the same stage "
                "because only the last one will be used",
                instruction.comments,
            )
        last[key] = instruction.span


def legacy_pairs(walk: Walk) -> Iterator[Finding]:
    """LegacyKeyValueFormat."""
    for visit in walk.visits:
        instruction = visit.instruction
        if isinstance(instruction, Env | Label) and any(pair.legacy for pair in instruction.pairs):
            keyword = instruction.keyword
            yield _finding(
                rules.LEGACY_KEY_VALUE_FORMAT,
                visit,
                f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" '
                "format",
            )


def secrets(walk: Walk) -> Iterator[Finding]:
    """SecretsUsedInArgOrEnv, judged by the name."""
    for visit in walk.visits:
        instruction = visit.expanded
        keys: list[str] = []
        if isinstance(instruction, Env):
            keys = [pair.key for pair in instruction.pairs]
        elif isinstance(instruction, Arg):
            keys = [argument.key for argument in instruction.arguments]
        for key in keys:
            if _SECRET.search(key) and not _NO_SECRET.search(key):
                yield _finding(
                    rules.SECRETS_USED_IN_ARG_OR_ENV,
                    visit,
                    "Do not use ARG or ENV instructions for sensitive data "
                    f"({instruction.name} {quote(key)})",
                )


def ports(walk: Walk) -> Iterator[Finding]:
    """ExposeProtoCasing and ExposeInvalidFormat."""
    for visit in walk.visits:
        if not isinstance(visit.instruction, Expose):
            continue
        escape = walk.dockerfile.directives.escape
        for written in visit.instruction.ports:
            for word in expand_words(written, visit.environment, escape):
                address, host, port = split_port(word)
                protocol = port.partition("/")[2]
                if protocol != protocol.lower():
                    yield _finding(
                        rules.EXPOSE_PROTO_CASING,
                        visit,
                        f"Defined protocol '{word}' in EXPOSE instruction should be lowercase",
                    )
                if address or host:
                    yield _finding(
                        rules.EXPOSE_INVALID_FORMAT,
                        visit,
                        "EXPOSE instruction should not define an IP address or host-port mapping, "
                        f"found '{word}'",
                    )


def ignored_files(walk: Walk) -> Iterator[Finding]:
    """CopyIgnoredFile; says nothing where a ``!`` pattern may bring files back."""
    facts = walk.facts
    patterns = facts.ignore_patterns
    if facts.is_ignored is None or any(pattern.startswith("!") for pattern in patterns):
        return
    for visit in walk.visits:
        instruction = visit.expanded
        if not isinstance(instruction, Transfer) or _is_from_elsewhere(instruction):
            continue
        for source in instruction.sources:
            if "://" in source or source.startswith("git@"):
                continue
            path = clean_path(source)
            if path in (".", "/") and not any(pattern in _EVERYTHING for pattern in patterns):
                continue
            if facts.is_ignored(path.removeprefix("/") or "."):
                verb = "Add" if isinstance(instruction, Add) else "Copy"
                yield _finding(
                    rules.COPY_IGNORED_FILE,
                    visit,
                    f"Attempting to {verb} file {quote(path)} that is excluded by .dockerignore",
                )


def _is_from_elsewhere(instruction: Transfer) -> bool:
    return isinstance(instruction, Copy) and bool(instruction.from_)


def _finding(rule: rules.Rule, visit: Visit, message: str) -> Finding:
    return Finding(rule, visit.instruction.span, message, visit.instruction.comments)
