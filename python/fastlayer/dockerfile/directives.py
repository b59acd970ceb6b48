"""Parser directives: the ``# name=value`` lines at the very top of a Dockerfile.

They end at the first line that is none: a blank line, another comment, an instruction. Each may
stand once. ``escape`` counts at once; ``syntax`` and ``check`` are looked for a second time below a
``#!`` line, and ``syntax`` in ``//`` comments and in a JSON document too, as BuildKit does it.
"""

from __future__ import annotations

import re

from fastlayer.dockerfile.source import BLANKS

_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_NAMES = ("syntax", "escape", "check")


class DirectiveReader:
    """Takes the lines from the top one by one, and knows when the directives are over."""

    def __init__(self, comment: str = "#") -> None:
        self.done = False
        self._comment = comment
        self._seen: set[str] = set()

    def read(self, line: str) -> tuple[str, str] | None:
        """The name (in lower case) and value of a directive line; ``None`` for any other line.

        Raises
        ------
        ValueError
            The directive was there before.
        """
        if self.done:
            return None
        match = None
        if line.startswith(self._comment):
            match = _DIRECTIVE.match(line[len(self._comment) :].lstrip(BLANKS))
        if match is None or (name := match[1].lower()) not in _NAMES:
            self.done = True
            return None
        if name in self._seen:
            raise ValueError(f"only one {name} parser directive can be used")
        self._seen.add(name)
        return name, match[2]


def find_directive(name: str, text: str) -> str | None:
    """The value of a directive in a whole file, or ``None``.

    The file's byte order mark must be gone already. ``syntax`` is found in the other notations too.
    """
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    prefixes = ("#", "//") if name == "syntax" else ("#",)
    for prefix in prefixes:
        found = _find(name, text, prefix)
        if found is not None:
            return found
    if name == "syntax" and text.lstrip(" \t\r\n").startswith("{"):
        return _find_in_json(name, text)
    return None


def _find(name: str, text: str, prefix: str) -> str | None:
    reader = DirectiveReader(prefix)
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        line = text[position : end if end >= 0 else len(text)].removesuffix("\r")
        position = end + 1 if end >= 0 else len(text)
        try:
            directive = reader.read(line)
        except ValueError:
            return None
        if reader.done:
            return None
        if directive is not None and directive[0] == name:
            return directive[1]
    return None


def _find_in_json(name: str, text: str) -> str | None:
    import json

    try:
        value = json.loads(text).get(name)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None
