"""Reading and writing JSON documents: typed access with the place of every mistake.

Invariants: a mistake is a :class:`~fastlayer.errors.DocumentError` naming the document and a JSON
pointer; the bytes written depend on the values alone. Knows nothing of what a document means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from fastlayer.errors import DocumentError
from fastlayer.value import Value

MAXIMUM_BYTES = 8 << 20
"""Largest document that is parsed; registries refuse manifests above 4 MiB."""

_TIME = re.compile(
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)"
    r"(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Node(Value, kw_only=False):
    """One value of a parsed document, and where it stands."""

    value: object
    document: str
    pointer: str = ""

    def fail(self, problem: str) -> DocumentError:
        """The error that says what is wrong with this value."""
        return DocumentError(f"{self.document}: {self.pointer or '/'}: {problem}")

    def _expect(self, kind: type, name: str) -> None:
        if not isinstance(self.value, kind) or (kind is int and isinstance(self.value, bool)):
            raise self.fail(f"expected {name}, found {_kind_name(self.value)}")

    def child(self, key: str | int) -> Node:
        """The member ``key`` of an object or list, whatever it is (None where it is missing)."""
        if isinstance(self.value, Mapping):
            below: object = self.value.get(key)
        else:
            assert isinstance(self.value, list) and isinstance(key, int)
            below = self.value[key]
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Node(below, self.document, f"{self.pointer}/{escaped}")

    def members(self) -> Mapping[str, object]:
        """This value as an object."""
        self._expect(dict, "an object")
        assert isinstance(self.value, dict)
        return self.value

    def items(self) -> Iterator[Node]:
        """The members of a list; null counts as an empty list (Go writes it so)."""
        if self.value is None:
            return
        self._expect(list, "an array")
        assert isinstance(self.value, list)
        for number in range(len(self.value)):
            yield self.child(number)

    def text(self) -> str:
        """This value as a string."""
        self._expect(str, "a string")
        assert isinstance(self.value, str)
        return self.value

    def integer(self) -> int:
        """This value as a whole number."""
        self._expect(int, "an integer")
        assert isinstance(self.value, int)
        return self.value

    def optional_text(self, key: str) -> str:
        """The string member ``key``; empty where it is missing or null."""
        node = self.child(key)
        return "" if node.value is None else node.text()

    def optional_integer(self, key: str) -> int:
        """The integer member ``key``; 0 where it is missing or null."""
        node = self.child(key)
        return 0 if node.value is None else node.integer()

    def optional_flag(self, key: str) -> bool:
        """The boolean member ``key``; False where it is missing or null."""
        node = self.child(key)
        if node.value is None:
            return False
        node._expect(bool, "a boolean")
        return bool(node.value)

    def optional_time(self, key: str) -> str:
        """The RFC 3339 time ``key``, as it is written; empty where it is missing or null."""
        node = self.child(key)
        text = self.optional_text(key)
        if text and not _TIME.match(text):
            raise node.fail(f"{text!r} is not an RFC 3339 time")
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings ``key``; empty where it is missing or null."""
        return tuple(node.text() for node in self.child(key).items())

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        """The list of strings ``key``; None where it is missing or null."""
        return None if self.child(key).value is None else self.texts(key)

    def keys_of_set(self, key: str) -> tuple[str, ...]:
        """The sorted keys of a Go set (an object of empty objects) ``key``."""
        node = self.child(key)
        if node.value is None:
            return ()
        for name in node.members():
            node.child(name).members()
        return tuple(sorted(node.members()))

    def text_map(self, key: str) -> dict[str, str]:
        """The object of strings ``key``; empty where it is missing or null."""
        node = self.child(key)
        if node.value is None:
            return {}
        return {name: node.child(name).text() for name in node.members()}

    def other_members(self, known: frozenset[str]) -> dict[str, object]:
        """The members that no field of ours stands for; they are written back unchanged."""
        return {name: value for name, value in self.members().items() if name not in known}


def _kind_name(value: object) -> str:
    if value is None:
        return "nothing"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array" if isinstance(value, list) else "an object")


def parse(data: bytes, document: str, *, array: bool = False) -> Node:
    """Parse a JSON object, or with ``array`` a list.

    Parameters
    ----------
    data:
        The document, UTF-8.
    document:
        What to call it in an error, for instance ``manifest of site:latest``.
    array:
        Whether a list is expected; its members are checked when they are read.

    Raises
    ------
    DocumentError
        Where it is no JSON, no object, or larger than :data:`MAXIMUM_BYTES`.
    """
    if len(data) > MAXIMUM_BYTES:
        raise DocumentError(f"{document}: {len(data)} bytes is larger than {MAXIMUM_BYTES}")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{document}: not JSON: {error}") from error
    node = Node(value, document)
    if not array:
        node.members()
    return node


def encode(value: object) -> bytes:
    """Compact JSON in the order of the given dicts; the same value always gives the same bytes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _LONE_SURROGATE.sub("\ufffd", text).encode()
