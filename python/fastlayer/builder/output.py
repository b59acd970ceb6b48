"""``--output``: where a build's result goes besides the store, read from its text. Pure."""

from __future__ import annotations

import csv
from collections.abc import Mapping

from fastlayer.errors import UsageError
from fastlayer.value import Value

KINDS = ("local", "tar", "oci", "docker", "image", "cacheonly")
"""What ``type=`` may be; ``image`` is the store itself, ``cacheonly`` keeps no image at all."""

_CODECS = {
    "gzip": "gzip",
    "zstd": "zstd",
    "zstd:chunked": "zstd:chunked",
    "uncompressed": "none",
    "none": "none",
}
_STORED = frozenset({"image", "cacheonly"})
_NAMED = frozenset({"image", "oci", "docker"})

_HOLDING: Mapping[str, Mapping[str, str]] = {
    "local": {"mode": "copy"},
    "tar": {},
    "oci": {"tar": "true", "oci-mediatypes": "true", "force-compression": "true"},
    "docker": {"tar": "true", "oci-mediatypes": "false", "force-compression": "true"},
    "image": {"push": "false", "store": "true", "unpack": "false"},
    "cacheonly": {},
}
"""By kind: further options that say what holds anyway."""


class Output(Value):
    """One form of the result.

    ``destination`` is a path, or ``-`` for standard output; empty for ``image`` and ``cacheonly``.
    ``codec`` and ``level`` are those of layers in an archive, ``None`` for the defaults.
    """

    kind: str
    destination: str = ""
    names: tuple[str, ...] = ()
    codec: str | None = None
    level: int | None = None
    annotations: Mapping[str, str] = {}
    """Of the manifest; for ``oci`` only."""


def parse_output(text: str) -> Output:
    """Read ``type=oci,dest=x.tar``; a text without ``=`` is a directory, ``-`` a tar on stdout.

    Raises
    ------
    UsageError
        The text is not understood, or asks for what is not supported.
    """
    if text == "-":
        return Output(kind="tar", destination="-")
    if "=" not in text:
        return Output(kind="local", destination=text)
    fields = _fields(text)
    kind = fields.pop("type", "")
    destination = fields.pop("dest", "")
    if kind == "registry":
        raise UsageError(
            "--output type=registry is not supported",
            hint="write an archive with type=oci,dest=FILE, and push that",
        )
    if kind not in KINDS:
        raise UsageError(f"--output type={kind} is not known", hint=f"one of {', '.join(KINDS)}")
    if not destination and kind == "local":
        raise UsageError("--output type=local needs dest=DIRECTORY")
    if destination and kind in _STORED:
        raise UsageError(f"--output {text}: type={kind} goes nowhere, and has no dest")
    names = tuple(name for name in fields.pop("name", "").split(",") if name)
    if names and kind not in _NAMED:
        raise UsageError(f"--output {text}: type={kind} has no name")
    codec, level = _compression(text, kind, fields)
    prefix = "annotation."
    found = {key: fields.pop(key) for key in tuple(fields) if key.startswith(prefix)}
    if found and kind != "oci":
        raise UsageError(f"--output {text}: only type=oci has a manifest with annotations")
    left = [key for key, value in fields.items() if value.lower() != _HOLDING[kind].get(key)]
    if left:
        raise UsageError(f"--output {text}: {left[0]}={fields[left[0]]} is not supported")
    return Output(
        kind=kind,
        destination=destination or ("" if kind in _STORED else "-"),
        names=names,
        codec=codec,
        level=level,
        annotations={key.removeprefix(prefix): value for key, value in found.items()},
    )


def _fields(text: str) -> dict[str, str]:
    """The ``KEY=VALUE`` of a text; a field with commas stands in quotes, as in CSV."""
    fields = {}
    for field in next(csv.reader([text])):
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"--output {text}: {field!r} is not KEY=VALUE")
        key = key.strip()
        name = key if key.startswith("annotation.") else key.lower()
        fields[name] = value.strip()
    return fields


def _compression(text: str, kind: str, fields: dict[str, str]) -> tuple[str | None, int | None]:
    codec = fields.pop("compression", "")
    if codec and codec not in _CODECS:
        raise UsageError(
            f"--output {text}: compression {codec} is not supported",
            hint=f"one of {', '.join(_CODECS)}",
        )
    level = fields.pop("compression-level", "")
    if (codec or level) and kind not in {"oci", "docker"}:
        raise UsageError(
            f"--output {text}: type={kind} has no layers to compress",
            hint="compress an image when it is saved: fastlayer save --compression",
        )
    if level and not level.isdigit():
        raise UsageError(f"--output {text}: compression-level {level} is not a number")
    return _CODECS.get(codec), int(level) if level else None
