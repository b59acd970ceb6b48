"""Reading ``RUN --mount``: from the flag's text to fields, and from fields to a typed mount."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from fastlayer.dockerfile.mounts import (
    BindMount,
    CacheMount,
    Mount,
    MountFlag,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from fastlayer.dockerfile.quantities import parse_size, parse_truth, parse_unsigned
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import InstructionError
from fastlayer.dockerfile.suggestion import did_you_mean

_SYNONYMS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_OWNED = ("mode", "uid", "gid")
#: What each type takes beside ``type`` and ``target``. BuildKit ignores some of the others.
_KEYS = {
    "bind": ("source", "from", "readonly", "readwrite"),
    "cache": ("id", "source", "from", "readonly", "readwrite", "sharing", *_OWNED),
    "tmpfs": ("size", "readonly", "readwrite"),
    "secret": ("id", "source", "env", "required", "readonly", *_OWNED),
    "ssh": ("id", "required", "readonly", *_OWNED),
}
_ALL_KEYS = (
    *("type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required"),
    *("size", "env", *_OWNED, *_SYNONYMS),
)
_SHARINGS = ("shared", "private", "locked")


def read_mount_flag(text: str) -> MountFlag:
    """Take a flag's text apart; nothing but ``from`` is looked at yet.

    Raises
    ------
    InstructionError
        The text is no list of fields, or ``from`` holds a variable.
    """
    fields: list[tuple[str, str | None]] = []
    for field in _split_fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if key == "from" and 0 <= value.find("$") < len(value) - 1:
            raise InstructionError(
                "'from' doesn't support variable expansion, define alias stage instead",
                token=field,
            )
        fields.append((key, value if equals else None))
    return MountFlag(text, tuple(fields))


def _split_fields(text: str) -> list[str]:
    """The fields of one line of comma-separated values; quotes hold a field together."""
    fields: list[str] = []
    position = 0
    while True:
        if text.startswith('"', position):
            field, position = _quoted_field(text, position + 1)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field, position = text[position:end], end
            if '"' in field:
                raise InstructionError(
                    'failed to parse csv mounts: bare " in non-quoted-field', token=field
                )
        fields.append(field)
        if position >= len(text):
            return fields
        position += 1


def _quoted_field(text: str, position: int) -> tuple[str, int]:
    done: list[str] = []
    while (end := text.find('"', position)) >= 0:
        done.append(text[position:end])
        position = end + 1
        if position == len(text) or text[position] == ",":
            return "".join(done), position
        if text[position] != '"':
            break
        done.append('"')
        position += 1
    raise InstructionError('failed to parse csv mounts: extraneous or missing " in quoted-field')


def resolve_mount(flag: MountFlag, expand: Callable[[str], str]) -> Mount:
    """The typed mount that a flag means.

    Parameters
    ----------
    flag:
        The flag.
    expand:
        Replaces the variables in a value.

    Raises
    ------
    InstructionError
        A key or value is wrong.
    """
    fields: dict[str, str] = {}
    for key, value in flag.fields:
        name = _SYNONYMS.get(key, key)
        if name not in _ALL_KEYS:
            message = f"unexpected key '{key}' in '{key if value is None else f'{key}={value}'}'"
            hint = did_you_mean(key, _ALL_KEYS)
            if value is None and hint is None:
                message = f"invalid field '{key}' must be a key=value pair"
            raise InstructionError(message, hint=hint, token=key)
        if value is None:
            if name not in ("readonly", "readwrite", "required"):
                raise InstructionError(f"invalid field '{key}' must be a key=value pair", token=key)
            fields[name] = "true"
        else:
            fields[name] = expand(value)
        if name in ("readonly", "readwrite"):
            fields.pop("readwrite" if name == "readonly" else "readonly", None)
    kind = fields.pop("type", "bind").lower()
    if kind not in _KEYS:
        hint = did_you_mean(kind, _KEYS)
        raise InstructionError(f"unsupported mount type {quote(kind)}", hint=hint, token=kind)
    for name in fields:
        if name != "target" and name not in _KEYS[kind]:
            raise InstructionError(f"unexpected key '{name}' for mount type '{kind}'", token=name)
    return _BUILDERS[kind](fields)


def _read_only(fields: dict[str, str], *, default: bool) -> bool:
    for name in ("readonly", "readwrite"):
        if name in fields:
            return _truth(fields, name) == (name == "readonly")
    return default


def _truth(fields: dict[str, str], name: str) -> bool:
    value = fields.get(name, "false")
    try:
        return parse_truth(value)
    except ValueError:
        raise InstructionError(f"invalid value for {name}: {value}", token=value) from None


def _number(fields: dict[str, str], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        return parse_unsigned(value, 8 if name == "mode" else 10)
    except ValueError:
        raise InstructionError(f"invalid value {value} for {name}", token=value) from None


def _bind(fields: dict[str, str]) -> BindMount:
    return BindMount(
        target=fields.get("target", ""),
        source=fields.get("source", ""),
        from_=fields.get("from", ""),
        read_only=_read_only(fields, default=True),
    )


def _cache(fields: dict[str, str]) -> CacheMount:
    sharing = fields.get("sharing", "shared").lower()
    if sharing not in _SHARINGS:
        hint = did_you_mean(sharing, _SHARINGS)
        message = f"unsupported sharing value {quote(sharing)}"
        raise InstructionError(message, hint=hint, token=sharing)
    return CacheMount(
        target=fields.get("target", ""),
        id=fields.get("id", ""),
        read_only=_read_only(fields, default=False),
        sharing=sharing,
        from_=fields.get("from", ""),
        source=fields.get("source", ""),
        mode=_number(fields, "mode"),
        uid=_number(fields, "uid"),
        gid=_number(fields, "gid"),
    )


def _tmpfs(fields: dict[str, str]) -> TmpfsMount:
    size = fields.get("size", "0")
    try:
        limit = parse_size(size)
    except ValueError:
        raise InstructionError(f"invalid value for size: {size}", token=size) from None
    return TmpfsMount(
        target=fields.get("target", ""),
        size=limit,
        read_only=_read_only(fields, default=False),
    )


def _secret(fields: dict[str, str]) -> SecretMount:
    if "source" in fields and "id" in fields:
        raise InstructionError("both source and id can't be set", token="source")
    target = fields.get("target", "")
    id_ = fields.get("source") or fields.get("id") or posixpath.basename(target.rstrip("/"))
    if not id_:
        raise InstructionError("invalid secret mount. one of source, target required")
    env = fields.get("env")
    return SecretMount(
        target=target or ("" if env is not None else f"/run/secrets/{posixpath.basename(id_)}"),
        id=id_,
        env=id_ if env == "" else env,
        required=_truth(fields, "required"),
        mode=_number(fields, "mode"),
        uid=_number(fields, "uid"),
        gid=_number(fields, "gid"),
    )


def _ssh(fields: dict[str, str]) -> SshMount:
    return SshMount(
        target=fields.get("target", ""),
        id=fields.get("id") or "default",
        required=_truth(fields, "required"),
        mode=_number(fields, "mode"),
        uid=_number(fields, "uid"),
        gid=_number(fields, "gid"),
    )


_BUILDERS: dict[str, Callable[[dict[str, str]], Mount]] = {
    "bind": _bind,
    "cache": _cache,
    "tmpfs": _tmpfs,
    "secret": _secret,
    "ssh": _ssh,
}
