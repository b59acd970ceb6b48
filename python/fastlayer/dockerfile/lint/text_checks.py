"""Checks that need the text alone."""

from __future__ import annotations

from collections.abc import Iterator

from fastlayer.dockerfile.instructions import Arg, Instruction, Maintainer
from fastlayer.dockerfile.lint import rules
from fastlayer.dockerfile.lint.rules import Finding
from fastlayer.dockerfile.lint.walk import Walk
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import Span

_RESERVED = ("context", "scratch")


def _instructions(walk: Walk) -> Iterator[Instruction]:
    """Every instruction of every stage, FROM included."""
    for stage in walk.dockerfile.stages:
        yield stage.from_
        yield from stage.instructions


def empty_continuations(walk: Walk) -> Iterator[Finding]:
    """NoEmptyContinuation."""
    for warning in walk.dockerfile.warnings:
        yield Finding(
            rules.NO_EMPTY_CONTINUATION,
            Span(warning.line, warning.line),
            "Empty continuation line",
        )


def instruction_casing(walk: Walk) -> Iterator[Finding]:
    """ConsistentInstructionCasing: the case of the majority, upper case where there is none."""
    keywords = [instruction.keyword for instruction in _instructions(walk)]
    lower = sum(keyword == keyword.lower() for keyword in keywords)
    upper = sum(keyword == keyword.upper() for keyword in keywords)
    for instruction in _instructions(walk):
        keyword = instruction.keyword
        wanted = keyword.lower() if lower > upper else keyword.upper()
        if keyword != wanted:
            casing = "lowercase" if lower > upper else "uppercase"
            yield Finding(
                rules.CONSISTENT_INSTRUCTION_CASING,
                instruction.span,
                f"Command '{keyword}' should match the case of the command majority ({casing})",
            )


def stage_name_casing(walk: Walk) -> Iterator[Finding]:
    """StageNameCasing."""
    for stage in walk.dockerfile.stages:
        written = stage.from_.stage_written
        if written != written.lower():
            yield Finding(
                rules.STAGE_NAME_CASING,
                stage.from_.span,
                f"Stage name '{written}' should be lowercase",
                stage.from_.comments,
            )


def from_as_casing(walk: Walk) -> Iterator[Finding]:
    """FromAsCasing; a FROM of mixed case is told about by another check."""
    for stage in walk.dockerfile.stages:
        keyword, separator = stage.from_.keyword, stage.from_.separator
        lower = keyword == keyword.lower()
        if not separator or not (lower or keyword == keyword.upper()):
            continue
        if separator != (separator.lower() if lower else separator.upper()):
            yield Finding(
                rules.FROM_AS_CASING,
                stage.from_.span,
                f"'{separator}' and '{keyword}' keywords' casing do not match",
                stage.from_.comments,
            )


def stage_names(walk: Walk) -> Iterator[Finding]:
    """DuplicateStageName and ReservedStageName."""
    seen: set[str] = set()
    for stage in walk.dockerfile.stages:
        if not stage.name:
            continue
        if stage.name in _RESERVED:
            yield Finding(
                rules.RESERVED_STAGE_NAME,
                stage.from_.span,
                "Stage name should not use the same name as reserved stage " + quote(stage.name),
            )
        if stage.name in seen:
            yield Finding(
                rules.DUPLICATE_STAGE_NAME,
                stage.from_.span,
                f"Duplicate stage name {quote(stage.name)}, stage names should be unique",
            )
        seen.add(stage.name)


def maintainer(walk: Walk) -> Iterator[Finding]:
    """MaintainerDeprecated."""
    for instruction in _instructions(walk):
        if isinstance(instruction, Maintainer):
            yield Finding(
                rules.MAINTAINER_DEPRECATED,
                instruction.span,
                "Maintainer instruction is deprecated in favor of using label",
                instruction.comments,
            )


def descriptions(walk: Walk) -> Iterator[Finding]:
    """InvalidDefinitionDescription: the comment above a stage or argument begins with its name."""
    for stage in walk.dockerfile.stages:
        if stage.name:
            yield from _description("FROM", stage.from_, [stage.name])
    arguments = [*walk.dockerfile.arguments, *_instructions(walk)]
    for instruction in arguments:
        if isinstance(instruction, Arg):
            keys = [argument.key for argument in instruction.arguments]
            yield from _description("ARG", instruction, keys)


def _description(name: str, instruction: Instruction, keys: list[str]) -> Iterator[Finding]:
    comments = instruction.comments
    if not comments or comments[-1].split(" ")[0] in keys or comments[-1].startswith("check="):
        return
    example = keys[0] if len(keys) == 1 else "<arg_key>"
    yield Finding(
        rules.INVALID_DEFINITION_DESCRIPTION,
        instruction.span,
        f"Comment for {name} should follow the format: `# {example} <description>`",
        comments,
    )
