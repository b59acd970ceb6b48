"""``--output``: where a build's result goes besides the store, read from its text. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.errors import UsageError
from fastlayer.value import Value

KINDS = ("local", "tar", "oci", "docker", "image")
"""What ``type=`` may be; ``image`` is the store itself."""

_CODECS = {
    "gzip": "gzip",
    "zstd": "zstd",
    "zstd:chunked": "zstd:chunked",
    "uncompressed": "none",
    "none": "none",
}
_UNDONE = ("registry", "cacheonly")


class Output(Value):
    """One form of the result.

    ``destination`` is a path, or ``-`` for standard output; empty for ``image``. ``codec`` and
    ``level`` are those of layers in an archive, ``None`` for the defaults.
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
    fields = {}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageError(f"--output {text}: {field!r} is not KEY=VALUE")
        key = key.strip()
        name = key if key.startswith("annotation.") else key.lower()
        fields[name] = value.strip()
    kind = fields.pop("type", "")
    destination = fields.pop("dest", "")
    if kind in _UNDONE:
        raise UsageError(
            f"--output type={kind} is not supported",
            hint="write an archive with type=oci,dest=FILE, and push that",
        )
    if kind not in KINDS:
        raise UsageError(f"--output type={kind} is not known", hint=f"one of {', '.join(KINDS)}")
    if not destination and kind == "local":
        raise UsageError("--output type=local needs dest=DIRECTORY")
    names = tuple(name for name in fields.pop("name", "").split(",") if name)
    codec, level = _compression(text, fields)
    prefix = "annotation."
    found = {key: fields.pop(key) for key in tuple(fields) if key.startswith(prefix)}
    if found and kind != "oci":
        raise UsageError(f"--output {text}: only type=oci has a manifest with annotations")
    if fields:
        raise UsageError(f"--output {text}: the option {next(iter(fields))} is not supported")
    return Output(
        kind=kind,
        destination=destination or ("" if kind == "image" else "-"),
        names=names,
        codec=codec,
        level=level,
        annotations={key.removeprefix(prefix): value for key, value in found.items()},
    )


def _compression(text: str, fields: dict[str, str]) -> tuple[str | None, int | None]:
    codec = fields.pop("compression", "")
    if codec and codec not in _CODECS:
        raise UsageError(
            f"--output {text}: compression {codec} is not supported",
            hint=f"one of {', '.join(_CODECS)}",
        )
    level = fields.pop("compression-level", "")
    if level and not level.isdigit():
        raise UsageError(f"--output {text}: compression-level {level} is not a number")
    return _CODECS.get(codec), int(level) if level else None
