"""A whole Dockerfile as a value: its directives, global arguments, stages and warnings."""

from __future__ import annotations

from fastlayer.dockerfile.instructions import Arg, From, Instruction
from fastlayer.dockerfile.source import Span
from fastlayer.value import Value


class Directives(Value, kw_only=False):
    """What the comment lines at the very top set.

    ``escape`` is the escape character, ``syntax`` the frontend that ``# syntax=`` names or ``None``
    (its first word; ``syntax_line`` is all of it), ``check`` the options of ``# check=``.
    """

    escape: str = "\\"
    syntax: str | None = None
    syntax_line: str | None = None
    check: str | None = None


class ParseWarning(Value, kw_only=False):
    """Something that a Dockerfile should not do, but may."""

    message: str
    line: int


class Stage(Value):
    """One FROM and what follows it.

    ``name`` is in lower case, empty where there is no AS; ``base`` and ``platform`` are as written,
    variables not expanded. ``instructions`` does not hold the FROM: that is ``from_``.
    """

    index: int
    name: str
    base: str
    platform: str
    from_: From
    instructions: tuple[Instruction, ...]
    span: Span
    description: str = ""


class Dockerfile(Value):
    """A parsed Dockerfile.

    ``arguments`` are the ARG before the first FROM; ``lines`` the text of each line, for messages
    (line numbers are 1-based).
    """

    file: str
    directives: Directives
    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    warnings: tuple[ParseWarning, ...]
    lines: tuple[str, ...]

    def line(self, number: int) -> str:
        """The text of a line, empty where there is no such line."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""
