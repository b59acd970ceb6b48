"""Go templates for ``--format``: parsed by :mod:`fastlayer.cli.template_syntax`, carried out here.

Functions: Go's ``and or not eq ne lt le gt ge index slice len print printf println`` and docker's
``json join split lower upper title truncate pad``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from fastlayer.cli.go_value import Record, is_true, json_text, print_text
from fastlayer.cli.template_syntax import (
    Branch,
    Call,
    Expression,
    Jump,
    Literal,
    Pipeline,
    TemplateNode,
    Text,
    Variable,
    parse_template,
)
from fastlayer.errors import UsageError
from fastlayer.oci.go_text import quote

_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


class Template:
    """A parsed template.

    Raises
    ------
    UsageError
        Where the text is no template.
    """

    def __init__(self, text: str) -> None:
        self._nodes = parse_template(text)

    def render(self, value: object) -> str:
        """The text that the template makes of a value.

        Raises
        ------
        UsageError
            A field that is not there, or a function that does not fit.
        """
        run = _Run(value)
        run.nodes(self._nodes, value)
        return "".join(run.output)


class _Jump(Exception):  # noqa: N818  (control flow, not an error)
    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Run:
    """One rendering: the output so far, and the variables in force."""

    def __init__(self, root: object) -> None:
        self.output: list[str] = []
        self._variables: list[tuple[str, object]] = [("$", root)]

    def nodes(self, nodes: tuple[TemplateNode, ...], dot: object) -> None:
        depth = len(self._variables)
        try:
            for node in nodes:
                self._node(node, dot)
        finally:
            del self._variables[depth:]

    def _node(self, node: TemplateNode, dot: object) -> None:
        if isinstance(node, Text):
            self.output.append(node.text)
        elif isinstance(node, Jump):
            raise _Jump(node.kind)
        elif isinstance(node, Branch):
            depth = len(self._variables)
            try:
                self._branch(node, dot)
            finally:
                del self._variables[depth:]
        else:
            value = self._pipeline(node, dot)
            if not node.variables:
                self.output.append(print_text(value))

    def _branch(self, node: Branch, dot: object) -> None:
        if node.kind == "range":
            self._range(node, dot)
            return
        value = self._pipeline(node.pipeline, dot)
        if is_true(value):
            self.nodes(node.body, value if node.kind == "with" else dot)
        else:
            self.nodes(node.otherwise, dot)

    def _range(self, node: Branch, dot: object) -> None:
        pipeline = Pipeline(node.pipeline.commands)
        value = self._pipeline(pipeline, dot)
        pairs: list[tuple[object, object]]
        if isinstance(value, Mapping):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list | tuple):
            pairs = list(enumerate(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs = [(number, number) for number in range(value)]
        elif value is None:
            pairs = []
        else:
            raise UsageError(f"template: range cannot go over {print_text(value)!r}")
        if not pairs:
            self.nodes(node.otherwise, dot)
        for key, item in pairs:
            names = node.pipeline.variables
            values = (key, item) if len(names) == 2 else (item,)
            depth = len(self._variables)
            self._variables += zip(names, values, strict=False)
            try:
                self.nodes(node.body, item)
            except _Jump as jump:
                if jump.kind == "break":
                    return
            finally:
                del self._variables[depth:]

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value: object = None
        for number, command in enumerate(pipeline.commands):
            value = self._call(command, dot, (value,) if number else ())
        for name in pipeline.variables:
            if pipeline.declares:
                self._variables.append((name, value))
            else:
                self._assign(name, value)
        return value

    def _assign(self, name: str, value: object) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return
        raise UsageError(f"template: undefined variable {name}")

    def _call(self, call: Call, dot: object, piped: tuple[object, ...]) -> object:
        if not call.function:
            if piped:
                raise UsageError("template: a value cannot take what is piped into it")
            return self._value(call.arguments[0], dot)
        if call.function in {"and", "or"}:
            return self._short_circuit(call, dot, piped)
        function = _FUNCTIONS.get(call.function)
        if function is None:
            raise UsageError(f'template: function "{call.function}" not defined')
        arguments = [self._value(argument, dot) for argument in call.arguments]
        try:
            return function(*arguments, *piped)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise UsageError(f"template: {call.function}: {error}") from error

    def _short_circuit(self, call: Call, dot: object, piped: tuple[object, ...]) -> object:
        value: object = None
        for argument in call.arguments:
            value = self._value(argument, dot)
            if is_true(value) == (call.function == "or"):
                return value
        return piped[0] if piped else value

    def _value(self, expression: Expression, dot: object) -> object:
        if isinstance(expression, Literal):
            return expression.value
        if isinstance(expression, Variable):
            for name, value in reversed(self._variables):
                if name == expression.name:
                    return value
            raise UsageError(f"template: undefined variable {expression.name}")
        if isinstance(expression, Pipeline):
            return self._pipeline(expression, dot)
        if isinstance(expression, Call):
            return self._call(expression, dot, ())
        value = dot if expression.base is None else self._value(expression.base, dot)
        for name in expression.names:
            value = _field(value, name)
        return value


def _field(value: object, name: str) -> object:
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        if isinstance(value, Record):
            if name in value.absent:
                return value.absent[name]
            if value.strict:
                raise UsageError(
                    f"template: there is no field {name}",
                    hint=f"fields: {', '.join(sorted({*value, *value.absent}))}",
                )
        return None
    if value is None:
        return None
    raise UsageError(f"template: {print_text(value)!r} has no field {name}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list | tuple | str) and isinstance(key, int):
            if not 0 <= key < len(value):
                raise IndexError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TypeError(f"cannot index {print_text(value)!r}")
    return value


def _slice(value: object, start: int = 0, end: int | None = None) -> object:
    if not isinstance(value, list | tuple | str):
        raise TypeError(f"cannot slice {print_text(value)!r}")
    if start < 0 or (end is not None and not start <= end <= len(value)):
        raise IndexError("slice bounds out of range")
    return value[start:end]


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | tuple | Mapping):
        return len(value)
    raise TypeError(f"{print_text(value)!r} has no length")


def _printf(form: str, *arguments: object) -> str:
    rest = list(arguments)

    def one(match: re.Match[str]) -> str:
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        if verb in "dxXoeEfgGc":
            number = f"%{flags}{width}" + (f".{precision}" if precision else "") + verb
            return number % value
        text = _quoted(value) if verb == "q" else print_text(value)
        text = text[: int(precision)] if precision else text
        fill = int(width or 0)
        return text.ljust(fill) if "-" in flags else text.rjust(fill)

    return _VERB.sub(one, form)


def _quoted(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{' '.join(quote(print_text(item)) for item in value)}]"
    return quote(print_text(value))


def _equal(first: object, *others: object) -> bool:
    return any(first == other for other in others)


def _pad(text: str, before: int, after: int) -> str:
    return text and " " * before + text + " " * after


def _print(*values: object) -> str:
    """Go's Sprint: blanks only between two values of which neither is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += print_text(value)
    return text


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "index": _index,
    "slice": _slice,
    "len": _length,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(print_text(value) for value in values) + "\n",
    "json": json_text,
    "join": lambda items, separator: separator.join(print_text(item) for item in items or []),
    "split": lambda text, separator: text.split(separator),
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "truncate": lambda text, length: text[:length],
    "pad": _pad,
}
