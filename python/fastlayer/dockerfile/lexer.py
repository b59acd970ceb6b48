"""From bytes to nodes: lines, comments, continuations, heredoc bodies.

Invalid UTF-8 is kept as surrogates, so that nothing is lost and no input makes this fail in another
way than :class:`fastlayer.errors.DockerfileError`.
"""

from __future__ import annotations

from typing import NoReturn

from fastlayer.dockerfile import words
from fastlayer.dockerfile.directives import DirectiveReader
from fastlayer.dockerfile.dockerfile import ParseWarning
from fastlayer.dockerfile.heredocs import Heredoc, openers
from fastlayer.dockerfile.nodes import Node, Syntax
from fastlayer.dockerfile.source import BLANKS, fail, valid

#: BuildKit reads lines through a buffer of 64 KiB; a longer line would not build there.
LINE_LIMIT = 65535

#: How deep ``ONBUILD ONBUILD …`` is read; one level is an error later, the limit bounds the stack.
ONBUILD_LIMIT = 10

_ESCAPES = ("\\", "`")


def decode(data: bytes) -> str:
    """The text of a Dockerfile without its byte order mark."""
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def read_nodes(data: bytes, *, file: str = "Dockerfile") -> Syntax:
    """Read a Dockerfile down to its nodes.

    Raises
    ------
    DockerfileError
        The text breaks the grammar, a line is too long, or there is no instruction.
    """
    return _Reader(decode(data), file).read()


class _Reader:
    """Walks over the lines once; each line keeps its end."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._text = text
        self._lines = text.split("\n")
        self._ended = not self._lines[-1]  # whether the last line has an end
        if self._ended:
            self._lines.pop()
        self._shown = tuple(valid(line.removesuffix("\r")) for line in self._lines)
        self._count = 0  # of the lines taken so far: the number of the current line
        self._escape = "\\"
        self._directives = DirectiveReader()
        self._comments: list[str] = []
        self._nodes: list[Node] = []
        self._warnings: list[ParseWarning] = []

    def read(self) -> Syntax:
        while (line := self._take()) is not None:
            text = line.rstrip("\r\n").lstrip(BLANKS)
            if text.startswith("#"):
                self._comment(text)
            elif text:
                self._directives.done = True
                self._instruction(text)
            else:
                self._directives.done = True
        if not self._nodes:
            self._fail("file with no instructions", self._count)
        return Syntax(
            file=self._file,
            text=self._text,
            escape=self._escape,
            nodes=tuple(self._nodes),
            warnings=tuple(self._warnings),
            lines=self._shown,
        )

    def _take(self) -> str | None:
        """The next line with its end, or ``None`` at the end of the file."""
        if self._count == len(self._lines):
            return None
        line = self._lines[self._count]
        self._count += 1
        if len(line) > LINE_LIMIT // 4:
            length = len(line.encode("utf-8", "surrogateescape"))
            if length > LINE_LIMIT:
                message = f"dockerfile line greater than max allowed size of {LINE_LIMIT}"
                fail(message, file=self._file, line=self._count)
        return line + "\n" if self._ended or self._count < len(self._lines) else line

    def _comment(self, text: str) -> None:
        try:
            directive = self._directives.read(text)
        except ValueError as error:
            self._fail(str(error), self._count)
        if directive is None:
            comment = text[1:].strip(BLANKS)
            if comment:
                self._comments.append(valid(comment))
            else:
                self._comments.clear()
        elif directive[0] == "escape":
            value = directive[1]
            if value not in _ESCAPES:
                message = f"invalid escape token '{value}' does not match ` or \\"
                self._fail(message, self._count)
            self._escape = value

    def _instruction(self, text: str) -> None:
        first = self._count
        line = self._continue(text)
        node = self._node(line, first)
        heredocs = self._heredocs(node, line) if "<<" in line and node.takes_heredocs else ()
        self._nodes.append(
            node.replace(last=self._count, heredocs=heredocs, comments=tuple(self._comments))
        )
        self._comments.clear()

    def _continue(self, text: str) -> str:
        """The whole line of an instruction that starts with ``text``."""
        parts: list[str] = []
        blank = False
        while True:
            head = text.rstrip(" \t")
            if not head.endswith(self._escape) or head.endswith(self._escape * 2):
                parts.append(text)
                break
            parts.append(head[:-1])
            following = self._next_continued()
            if following is None:
                break
            text, had_blank = following
            blank |= had_blank
        line = "".join(parts)
        if blank:
            message = f"Empty continuation line found in: {line}"
            self._warnings.append(ParseWarning(message, self._count))
        return line

    def _next_continued(self) -> tuple[str, bool] | None:
        """The next line that is neither blank nor a comment, and whether a blank was passed."""
        blank = False
        while (line := self._take()) is not None:
            text = line.rstrip("\r\n")
            stripped = text.lstrip(BLANKS)
            if stripped.startswith("#"):
                continue
            if stripped:
                return text, blank
            blank = True
        return ("", True) if blank else None

    def _node(self, line: str, first: int, depth: int = 0) -> Node:
        keyword, flags, rest = words.split_keyword(line, self._escape)
        child = None
        found: words.Words = ((), False)
        if keyword.lower() == "onbuild":
            if depth == ONBUILD_LIMIT:
                self._fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", first)
            if rest:
                child = self._node(rest, first, depth + 1)
        else:
            try:
                found = words.parse_rest(keyword, rest, self._escape)
            except ValueError as error:
                self._fail(str(error), first)
        return Node(
            keyword=keyword,
            words=found[0],
            json=found[1],
            flags=flags,
            original=line,
            first=first,
            last=first,
            child=child,
        )

    def _heredocs(self, node: Node, line: str) -> tuple[Heredoc, ...]:
        try:
            found = openers(line)
        except ValueError as error:
            self._fail(str(error), node.first)
        return tuple(heredoc.replace(content=self._body(heredoc, node)) for heredoc in found)

    def _body(self, heredoc: Heredoc, node: Node) -> str:
        body: list[str] = []
        while (line := self._take()) is not None:
            candidate = line.rstrip("\r\n")
            if heredoc.chomp:
                candidate = candidate.lstrip("\t")
            if candidate == heredoc.name:
                return "".join(body)
            body.append(line)
        return self._fail(
            "unterminated heredoc",
            node.first,
            hint=f"end it by a line that holds {heredoc.name} alone",
        )

    def _fail(self, message: str, line: int, hint: str | None = None) -> NoReturn:
        source = self._shown[line - 1] if line else ""
        column = len(source) - len(source.lstrip(BLANKS)) + 1
        # Even an empty file has a first line.
        line = max(line, 1)
        fail(message, file=self._file, line=line, column=column, source=source, hint=hint)
