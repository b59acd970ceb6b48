"""A whole Dockerfile: directives, global arguments, stages."""

from __future__ import annotations

from fastlayer.dockerfile.directives import find_directive
from fastlayer.dockerfile.dockerfile import Directives, Dockerfile, Stage
from fastlayer.dockerfile.instructions import Arg, From, Instruction
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.dockerfile.nodes import Syntax
from fastlayer.dockerfile.reading import description, read_instruction
from fastlayer.dockerfile.source import Span, fail


def parse(data: bytes, *, file: str = "Dockerfile") -> Dockerfile:
    """Parse a Dockerfile.

    Parameters
    ----------
    data:
        Its bytes.
    file:
        Its name, for messages.

    Raises
    ------
    DockerfileError
        The file breaks the grammar or a rule of an instruction; it has file, line, column and the
        line's text.
    """
    syntax = read_nodes(data, file=file)
    instructions = [read_instruction(node, syntax) for node in syntax.nodes]
    arguments: list[Arg] = []
    stages: list[Stage] = []
    body: list[Instruction] = []
    opener: From | None = None
    for instruction in instructions:
        if isinstance(instruction, From):
            if opener is not None:
                stages.append(_stage(len(stages), opener, body))
            opener, body = instruction, []
        elif opener is not None:
            body.append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            _fail_outside(instruction, syntax)
    if opener is None:
        fail(
            "dockerfile contains no stages to build",
            hint="begin with FROM",
            file=file,
            line=syntax.nodes[-1].last,
        )
    stages.append(_stage(len(stages), opener, body))
    return Dockerfile(
        file=file,
        directives=_directives(syntax),
        arguments=tuple(arguments),
        stages=tuple(stages),
        warnings=syntax.warnings,
        lines=syntax.lines,
    )


def _fail_outside(instruction: Instruction, syntax: Syntax) -> None:
    line = instruction.span.first
    fail(
        "no build stage in current context",
        hint=f"only ARG may stand before the first FROM, not {instruction.name}",
        file=syntax.file,
        line=line,
        column=1,
        source=syntax.lines[line - 1],
    )


def _directives(syntax: Syntax) -> Directives:
    syntax_line = find_directive("syntax", syntax.text)
    check = find_directive("check", syntax.text)
    return Directives(
        escape=syntax.escape,
        syntax=syntax_line.split(" ", 1)[0] if syntax_line else None,
        syntax_line=syntax_line,
        check=check.split(" ", 1)[0] if check else None,
    )


def _stage(index: int, opener: From, body: list[Instruction]) -> Stage:
    last = body[-1].span.last if body else opener.span.last
    return Stage(
        index=index,
        name=opener.stage,
        base=opener.base,
        platform=opener.platform,
        from_=opener,
        instructions=tuple(body),
        span=Span(opener.span.first, last),
        description=description(opener.comments, opener.stage),
    )
