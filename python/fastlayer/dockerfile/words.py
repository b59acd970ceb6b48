"""Splitting an instruction's line: keyword, flags, and the rest in the form its keyword asks for.

Quotes and escapes are kept in the words, for expansion comes later; only flags lose theirs. All of
this is BuildKit's line grammar, oddities included: what it takes for words, we take.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import BLANKS, valid

_BLANK_RUN = re.compile(r"[\t\v\f\r ]+")
_ASCII_BLANKS = "\t\n\v\f\r "

#: An instruction's words and whether they came from a JSON array; ``None`` for no words at all.
Words = tuple[tuple[str, ...], bool]

NOT_STRINGS = "when using JSON array syntax, arrays must be comprised of strings only"


def split_keyword(line: str, escape: str) -> tuple[str, tuple[str, ...], str]:
    """The keyword, the flags and the rest of an instruction's line."""
    parts = _BLANK_RUN.split(line.strip(BLANKS), maxsplit=1)
    if len(parts) == 1:
        return parts[0], (), ""
    flags, rest = _split_flags(parts[1], escape)
    return parts[0], flags, rest.strip(BLANKS)


def _split_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The ``--words`` at the head of the text, and what follows them; ``--`` alone ends them."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _ASCII_BLANKS:
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        flag, position = _read_flag(text, position, escape)
        if flag == "--":
            return tuple(flags), text[position:]
        flags.append(flag)


def _read_flag(text: str, position: int, escape: str) -> tuple[str, int]:
    """One flag without its quotes and escapes, and the position behind it."""
    done: list[str] = []
    quoted = ""
    while position < len(text):
        character = text[position]
        if not quoted and character in _ASCII_BLANKS:
            break
        position += 1
        if quoted and character == quoted:
            quoted = ""
        elif not quoted and character in "'\"":
            quoted = character
        elif character == escape:
            done.append(text[position : position + 1])
            position += 1
        else:
            done.append(character)
    return "".join(done), position


def parse_words(text: str, escape: str) -> tuple[str, ...]:
    """Words parted by blanks; quotes hold a word together and stay in it, as escapes do."""
    words: list[str] = []
    current: list[str] = []
    quoted = ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quoted and character in BLANKS:
            if current:
                words.append("".join(current))
                current.clear()
            continue
        if character == escape and quoted != "'":
            if position == len(text):
                break  # an escape at the very end escapes nothing
            current.append(character)
            character = text[position]
            position += 1
        elif quoted:
            if character == quoted:
                quoted = ""
        elif character in "'\"":
            quoted = character
        current.append(character)
    if current:
        words.append("".join(current))
    # Go's writer replaces what is not UTF-8, in this form only.
    return tuple(valid(word) for word in words)


def _string(text: str, escape: str) -> Words:
    return ((text,) if text else ()), False


def _delimited(text: str, escape: str) -> Words:
    return (tuple(_BLANK_RUN.split(text)) if text else ()), False


def _names(text: str, escape: str) -> Words:
    return parse_words(text, escape), False


def _pairs(keyword: str) -> Callable[[str, str], Words]:
    """The form of ENV and LABEL: triples of name, value and ``=`` (or nothing, in the old form)."""

    def parse(text: str, escape: str) -> Words:
        words = parse_words(text, escape)
        if not words:
            return (), False
        if "=" not in words[0]:
            parts = _BLANK_RUN.split(text, maxsplit=1)
            if len(parts) < 2:
                raise ValueError(f"{keyword} must have two arguments")
            return (parts[0], parts[1], ""), False
        triples: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise ValueError(
                    f"Syntax error - can't find = in {quote(word)}. Must be of the form: name=value"
                )
            triples += (name, value, equals)
        return tuple(triples), False

    return parse


def parse_json(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; ``None`` where the text is no JSON array.

    Raises
    ------
    ValueError
        It is an array, but not of strings alone.
    """
    text = text.lstrip(BLANKS)
    if not text.startswith("["):
        return None
    import json

    try:
        values = json.loads(text, parse_constant=_number, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise ValueError(NOT_STRINGS)
    return tuple(valid(value) for value in values)


def _number(text: str) -> float:
    """A number as Go reads it: it has no NaN, and refuses what is too large."""
    number = float(text)
    if number - number:  # infinite, or not a number
        raise ValueError(f"{text} is not JSON")
    return number


def _json_or_string(text: str, escape: str) -> Words:
    if not text:
        return (), False
    strings = parse_json(text)
    return _string(text, escape) if strings is None else (strings, True)


def _json_or_delimited(text: str, escape: str) -> Words:
    strings = parse_json(text)
    return _delimited(text, escape) if strings is None else (strings, True)


def _health(text: str, escape: str) -> Words:
    end = 0
    while end < len(text) and text[end] not in _ASCII_BLANKS:
        end += 1
    if not end:
        return (), False
    words, is_json = _json_or_string(text[end:].lstrip(_ASCII_BLANKS), escape)
    return (text[:end], *words), is_json


def _unknown(text: str, escape: str) -> Words:
    return ("",), False


_FORMS: dict[str, Callable[[str, str], Words]] = {
    "add": _json_or_delimited,
    "arg": _names,
    "cmd": _json_or_string,
    "copy": _json_or_delimited,
    "entrypoint": _json_or_string,
    "env": _pairs("ENV"),
    "expose": _delimited,
    "from": _delimited,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _string,
    "run": _json_or_string,
    "shell": _json_or_string,
    "stopsignal": _string,
    "user": _string,
    "volume": _json_or_delimited,
    "workdir": _string,
}


def parse_rest(keyword: str, text: str, escape: str) -> Words:
    """The words of an instruction, in the form of its keyword, and whether they are JSON strings.

    An unknown keyword gives one empty word. ONBUILD is not for here: its rest is an instruction.

    Raises
    ------
    ValueError
        The text breaks the form; the message says how.
    """
    return _FORMS.get(keyword.lower(), _unknown)(text, escape)
