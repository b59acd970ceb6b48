"""The filters of ``fastlayer images``: ``-f key=value`` and a name as argument."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from fastlayer.cli.moment import seconds_of
from fastlayer.errors import UsageError
from fastlayer.image import Image, ImageCatalog
from fastlayer.oci.reference import parse_reference

Filter = Callable[[Image], bool]

_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h))+")
_SPAN_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_TRUE = {"1", "true", "t"}
_FALSE = {"0", "false", "f"}


def image_filters(catalog: ImageCatalog, texts: Iterable[str]) -> list[Filter]:
    """The filters that the texts ask for; an image is listed when every one accepts it.

    References are not among them: they choose names, see :func:`reference_patterns`.

    Raises
    ------
    UsageError
        An unknown key or a value that does not fit.
    """
    filters: list[Filter] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"filter {text!r} is not KEY=VALUE")
        if key == "dangling":
            filters.append(_dangling(value))
        elif key == "label":
            filters.append(_label(value))
        elif key in {"before", "since"}:
            border = seconds_of(catalog.resolve(value).config.created)
            filters.append(_created(border, older=key == "before"))
        elif key == "until":
            filters.append(_created(moment(value), older=True))
        elif key != "reference":
            raise UsageError(
                f"unknown filter {key!r}",
                hint="filters: before, dangling, label, reference, since, until",
            )
    return filters


def reference_patterns(texts: Iterable[str]) -> list[str]:
    """The patterns of all ``reference=`` filters."""
    return [text.removeprefix("reference=") for text in texts if text.startswith("reference=")]


def matches_reference(tag: str, pattern: str) -> bool:
    """Whether a familiar name with its tag fits a pattern such as ``site``, ``*:1.*``."""
    reference = parse_reference(tag)
    expression = re.compile(_expression(pattern))
    names = (reference.familiar_name, reference.familiar, reference.name, reference.canonical)
    return any(expression.fullmatch(name) for name in names)


def _expression(pattern: str) -> str:
    """Go's ``path.Match`` as a regular expression: ``*`` and ``?`` stop at a slash."""
    text, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            text += "[^/]*"
        elif character == "?":
            text += "[^/]"
        elif character == "[" and "]" in pattern[position:]:
            end = pattern.index("]", position + 1)
            text += f"[{pattern[position:end]}]"
            position = end + 1
        else:
            text += re.escape(character)
    return text


def _dangling(value: str) -> Filter:
    if value.lower() not in _TRUE | _FALSE:
        raise UsageError(f"filter dangling={value}: true or false is expected")
    wanted = value.lower() in _TRUE
    return lambda image: (not image.tags) == wanted


def _label(value: str) -> Filter:
    name, equals, wanted = value.partition("=")

    def accepts(image: Image) -> bool:
        labels = image.config.config.labels
        return name in labels and (not equals or labels[name] == wanted)

    return accepts


def _created(border: float, *, older: bool) -> Filter:
    def accepts(image: Image) -> bool:
        created = seconds_of(image.config.created)
        return created < border if older else created > border

    return accepts


def moment(value: str) -> float:
    """Seconds since the epoch of ``24h`` (ago), ``2026-01-31`` or a number of seconds.

    Raises
    ------
    UsageError
        It is neither a time nor a span.
    """
    if _SPAN.fullmatch(value):
        span = sum(float(number) * _SECONDS[unit] for number, unit in _SPAN_PART.findall(value))
        return time.time() - span
    if value.isdecimal():
        return float(value)
    found = seconds_of(value)
    if found == -float("inf"):
        raise UsageError(f"filter until={value}: neither a time nor a span", hint="24h, 2026-01-31")
    return found
