"""A whole Dockerfile: directives, global arguments, stages."""

from __future__ import annotations

from fastlayer.dockerfile.directives import find_directive
from fastlayer.dockerfile.dockerfile import Directives, Dockerfile, Stage
from fastlayer.dockerfile.instructions import Arg, From, Instruction
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.dockerfile.nodes import Syntax
from fastlayer.dockerfile.reading import description, read_instruction
from fastlayer.dockerfile.source import Span, fail
from fastlayer.errors import DockerfileError


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
    found, error = parse_partly(data, file=file)
    if error is not None:
        raise error
    return found


def parse_partly(
    data: bytes, *, file: str = "Dockerfile"
) -> tuple[Dockerfile, DockerfileError | None]:
    """Parse a Dockerfile up to the first instruction that breaks a rule.

    Parameters
    ----------
    data, file:
        As for :func:`parse`.

    Returns
    -------
    tuple
        What stands before the error, and the error, ``None`` where there is none.

    Raises
    ------
    DockerfileError
        The file breaks the grammar.
    """
    syntax = read_nodes(data, file=file)
    builder = _Builder(syntax)
    error = None
    try:
        for node in syntax.nodes:
            builder.add(read_instruction(node, syntax))
        builder.check()
    except DockerfileError as raised:
        error = raised
    return builder.build(), error


class _Builder:
    """Gathers instructions to stages."""

    def __init__(self, syntax: Syntax) -> None:
        self._syntax = syntax
        self._arguments: list[Arg] = []
        self._stages: list[tuple[From, list[Instruction]]] = []

    def add(self, instruction: Instruction) -> None:
        if isinstance(instruction, From):
            self._stages.append((instruction, []))
        elif self._stages:
            self._stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            self._arguments.append(instruction)
        else:
            _fail_outside(instruction, self._syntax)

    def check(self) -> None:
        if not self._stages:
            fail(
                "dockerfile contains no stages to build",
                hint="begin with FROM",
                file=self._syntax.file,
                line=self._syntax.nodes[-1].last,
            )

    def build(self) -> Dockerfile:
        return Dockerfile(
            file=self._syntax.file,
            directives=_directives(self._syntax),
            arguments=tuple(self._arguments),
            stages=tuple(
                _stage(index, opener, body) for index, (opener, body) in enumerate(self._stages)
            ),
            warnings=self._syntax.warnings,
            lines=self._syntax.lines,
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
