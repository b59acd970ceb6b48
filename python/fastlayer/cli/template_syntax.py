"""The syntax of Go templates: text in, a tree of nodes out. Knows nothing of values.

Covered: actions with trim markers, comments, pipelines, parentheses, field and index chains,
variables, ``if``, ``else if``, ``else``, ``range``, ``with``, ``break`` and ``continue``. What is
left out (``define``, ``template``, ``block``) is an error.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from fastlayer.errors import UsageError

_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])')
    | (?P<number>-?\d+(?:\.\d+)?)
    | (?P<field>\.[A-Za-z_][\w]*)
    | (?P<variable>\$[\w]*)
    | (?P<word>[A-Za-z_][\w]*)
    | (?P<sign>:=|=|\||\(|\)|,|\.)
    )""",
    re.VERBOSE,
)
_UNSUPPORTED = {"define", "template", "block"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    value: object


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B`` of a value; of the dot where ``base`` is None and there are no names."""

    base: Expression | None
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``$`` or ``$name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function by name, or a value standing alone with ``function`` empty."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each the last argument of the next; ``variables`` are set to the result."""

    commands: tuple[Call, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False


Expression = Literal | Field | Variable | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Text between actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Branch:
    """``if``, ``with`` or ``range``, as ``kind`` says, and what is done otherwise."""

    kind: str
    pipeline: Pipeline
    body: tuple[TemplateNode, ...]
    otherwise: tuple[TemplateNode, ...]


@dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    kind: str


TemplateNode = Text | Pipeline | Branch | Jump


def parse_template(text: str) -> tuple[TemplateNode, ...]:
    """Parse a whole template.

    Raises
    ------
    UsageError
        Where it breaks the syntax.
    """
    parser = _Parser(_pieces(text))
    nodes, end = parser.nodes()
    if end is not None:
        raise UsageError(f"template: unexpected {{{{{end}}}}}")
    return nodes


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(whether it is an action, its text), trim markers carried out."""
    pieces: list[tuple[bool, str]] = []
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        pieces.append((False, before.rstrip() if match[1] else before))
        inner = match[2].strip()
        if not (inner.startswith("/*") and inner.endswith("*/")):
            pieces.append((True, inner))
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise UsageError("template: unclosed action")
    pieces.append((False, rest.lstrip() if trim else rest))
    return [piece for piece in pieces if piece[0] or piece[1]]


class _Parser:
    def __init__(self, pieces: list[tuple[bool, str]]) -> None:
        self._pieces = pieces
        self._next = 0

    def nodes(self) -> tuple[tuple[TemplateNode, ...], str | None]:
        """Nodes up to an ``end`` or ``else`` action, whose text is given too."""
        nodes: list[TemplateNode] = []
        while self._next < len(self._pieces):
            action, text = self._pieces[self._next]
            self._next += 1
            if not action:
                nodes.append(Text(text))
                continue
            word = text.split(maxsplit=1)[0] if text else ""
            if word in {"end", "else"}:
                return tuple(nodes), text
            if word in _UNSUPPORTED:
                raise UsageError(f"template: {word} is not supported")
            if word in {"if", "with", "range"}:
                nodes.append(self._branch(word, text[len(word) :]))
            elif text in {"break", "continue"}:
                nodes.append(Jump(text))
            else:
                nodes.append(_pipeline(text))
        return tuple(nodes), None

    def _branch(self, kind: str, condition: str) -> Branch:
        pipeline = _pipeline(condition)
        body, end = self.nodes()
        otherwise: tuple[TemplateNode, ...] = ()
        if end is not None and end.startswith("else"):
            rest = end.removeprefix("else").strip()
            if rest:
                word = rest.split(maxsplit=1)[0]
                if word not in {"if", "with"}:
                    raise UsageError(f"template: unexpected {rest!r} after else")
                return Branch(kind, pipeline, body, (self._branch(word, rest[len(word) :]),))
            otherwise, end = self.nodes()
        if end != "end":
            raise UsageError(f"template: {kind} without end")
        return Branch(kind, pipeline, body, otherwise)


def _pipeline(text: str) -> Pipeline:
    tokens = _Tokens(text)
    pipeline = tokens.pipeline()
    if tokens.peek() is not None:
        raise UsageError(f"template: unexpected {tokens.peek()!r} in {text!r}")
    return pipeline


def _unquote(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    inner = text[1:-1].replace("\\'", "'")
    if text[0] == "'":
        inner = inner.replace('"', '\\"')
    try:
        return str(json.loads(f'"{inner}"', strict=False))
    except ValueError as error:
        raise UsageError(f"template: cannot read the string {text}") from error


class _Tokens:
    """A reader of one action's tokens: (kind, text, whether a blank stood before)."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, bool]] = []
        self._next = 0
        self._text = text
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise UsageError(f"template: cannot read {text[position:].strip()!r}")
            blank = position == 0 or match.start(match.lastgroup) > position
            self._tokens.append((match.lastgroup, match[match.lastgroup], blank))
            position = match.end()

    def peek(self) -> str | None:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else None

    def _take(self) -> tuple[str, str, bool]:
        if self._next >= len(self._tokens):
            raise UsageError(f"template: {self._text!r} ends too soon")
        self._next += 1
        return self._tokens[self._next - 1]

    def pipeline(self) -> Pipeline:
        variables, declares = self._assignment()
        commands = [self._command()]
        while self.peek() == "|":
            self._take()
            commands.append(self._command())
        return Pipeline(tuple(commands), variables, declares)

    def _assignment(self) -> tuple[tuple[str, ...], bool]:
        words = [token[1] for token in self._tokens[self._next : self._next + 4]]
        for count, place in ((1, 1), (2, 3)):
            if len(words) > place and words[place] in {":=", "="} and words[0].startswith("$"):
                if count == 2 and words[1] != ",":
                    break
                self._next += place + 1
                return tuple(words[0:place:2]), words[place] == ":="
        return (), False

    def _command(self) -> Call:
        kind, text, _ = self._tokens[self._next] if self.peek() is not None else ("", "", False)
        if kind == "word" and text not in {"true", "false", "nil"}:
            self._take()
            return Call(text, self._operands())
        operands = self._operands()
        if len(operands) != 1:
            raise UsageError(f"template: {self._text!r} has no value or more than one")
        return Call("", operands)

    def _operands(self) -> tuple[Expression, ...]:
        operands = []
        while self.peek() not in {None, "|", ")"}:
            operands.append(self._operand())
        return tuple(operands)

    def _operand(self) -> Expression:
        kind, text, _ = self._take()
        base: Expression
        if kind == "string":
            return Literal(_unquote(text))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "variable":
            base = Variable(text)
        elif kind == "field":
            base = Field(None, (text[1:],))
        elif text == ".":
            return Field(None, ())
        elif text == "(":
            base = self.pipeline()
            if self._take()[1] != ")":
                raise UsageError(f"template: unclosed parenthesis in {self._text!r}")
        elif kind == "word":
            constants = {"true": True, "false": False, "nil": None}
            return Literal(constants[text]) if text in constants else Call(text, ())
        else:
            raise UsageError(f"template: unexpected {text!r} in {self._text!r}")
        return self._chain(base)

    def _chain(self, base: Expression) -> Expression:
        names = []
        while self._next < len(self._tokens):
            kind, text, blank = self._tokens[self._next]
            if kind != "field" or blank:
                break
            names.append(text[1:])
            self._next += 1
        if not names:
            return base
        if isinstance(base, Field) and base.base is None:
            return Field(None, (*base.names, *names))
        return Field(base, tuple(names))
