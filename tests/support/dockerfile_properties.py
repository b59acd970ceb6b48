"""What must hold for any bytes that are given as a Dockerfile: shared by fuzzing and a test."""

from __future__ import annotations

from fastlayer.dockerfile import (
    Arg,
    Dockerfile,
    Instruction,
    expand_instruction_names,
    parse,
    parse_ignore,
)
from fastlayer.dockerfile.lint import check_data
from fastlayer.errors import DockerfileError

ENVIRONMENT = {"a": "value", "b": "", "c": "x y", "PATH": "/bin:/usr/bin", "d": "$a'\""}
FILE = "Dockerfile"


def check_dockerfile(data: bytes) -> None:
    """Read, expand and check ``data`` in every way.

    Raises
    ------
    AssertionError
        Something does not hold; whatever else is raised is a fault, too.
    """
    lines = data.count(b"\n") + 1
    parsed = _parsed(data, lines)
    again = _parsed(data, lines)
    if isinstance(parsed, DockerfileError):
        assert isinstance(again, DockerfileError)
        assert str(again) == str(parsed)
    else:
        assert again == parsed
        _check_stages(parsed, lines)
    _check_lint(data, lines, parsed)
    _check_ignore(data, lines)


def _parsed(data: bytes, lines: int) -> Dockerfile | DockerfileError:
    try:
        return parse(data, file=FILE)
    except DockerfileError as error:
        _check_error(error, lines)
        return error


def _check_error(error: DockerfileError, lines: int) -> None:
    for text in (str(error), error.hint or ""):
        assert "\n" not in text
        assert "\r" not in text
        assert "\x1b" not in text, "an error must not steer the terminal"
        text.encode()
    assert error.file is not None
    assert error.line is None or 1 <= error.line <= lines
    assert error.column is None or error.column >= 1


def _check_stages(dockerfile: Dockerfile, lines: int) -> None:
    last = 0
    for argument in dockerfile.arguments:
        assert last < argument.span.first <= argument.span.last <= lines
        last = argument.span.last
        _check_expansion(argument, dockerfile.directives.escape, lines)
    for index, stage in enumerate(dockerfile.stages):
        assert stage.index == index
        for instruction in (stage.from_, *stage.instructions):
            assert last < instruction.span.first <= instruction.span.last <= lines
            last = instruction.span.last
            _check_expansion(instruction, dockerfile.directives.escape, lines)
        assert stage.span.last == last


def _check_expansion(instruction: Instruction, escape: str, lines: int) -> None:
    try:
        expanded = expand_instruction_names(instruction, ENVIRONMENT, escape, file=FILE)
    except DockerfileError as error:
        _check_error(error, lines)
        return
    assert type(expanded.instruction) is type(instruction)
    known = set(ENVIRONMENT)
    assert not expanded.unset & known
    if isinstance(instruction, Arg):
        known |= {argument.key for argument in instruction.arguments}  # they see each other
    assert expanded.used <= known


def _check_lint(data: bytes, lines: int, parsed: Dockerfile | DockerfileError) -> None:
    try:
        result = check_data(data, file=FILE)
    except DockerfileError as error:
        _check_error(error, lines)
        return
    if isinstance(parsed, DockerfileError):
        assert str(result.error) == str(parsed)
    for finding in result.findings:
        assert 1 <= finding.span.first <= finding.span.last <= lines
        assert "\n" not in finding.message


def _check_ignore(data: bytes, lines: int) -> None:
    try:
        patterns = parse_ignore(data)
    except DockerfileError as error:
        _check_error(error, lines)
        return
    assert len(patterns) <= lines
    for pattern in patterns:
        assert pattern
        assert "\n" not in pattern
