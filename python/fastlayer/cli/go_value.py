"""Values as Go's templates see them: nil slices and maps, zero values of absent fields, ``%v``."""

from __future__ import annotations

import json
from collections.abc import Mapping


class NilList(list[object]):
    """A nil slice: prints ``[]``, is ``null`` in JSON."""


class NilMap(dict[str, object]):
    """A nil map: prints ``map[]``, is ``null`` in JSON."""


class Record(dict[str, object]):
    """A Go struct: ``absent`` has the values of fields that JSON leaves out.

    ``strict``: a field in neither is an error in a template, instead of ``<no value>``.
    """

    def __init__(
        self,
        fields: Mapping[str, object],
        absent: Mapping[str, object] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        super().__init__(fields)
        self.absent = dict(absent or {})
        self.strict = strict


def plain(value: object) -> object:
    """The value for JSON."""
    if isinstance(value, NilList | NilMap):
        return None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def json_text(value: object, *, indent: int | None = None) -> str:
    """The value as JSON: compact, or with ``indent`` blanks a level."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, separators=separators)


def print_text(value: object) -> str:
    """The value as Go's ``%v``."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = (f"{key}:{print_text(value[key])}" for key in sorted(value))
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(print_text(item) for item in value)}]"
    return str(value)


def is_true(value: object) -> bool:
    """Whether a template takes the value as true: not zero, not empty."""
    return bool(value)
