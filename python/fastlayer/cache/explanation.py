"""Why a step was not found: what differs from the record that it is compared with.

A record keeps a short hash of every setting by its name, never a value: a value may be a secret.
Pure: what was copied is compared by whoever has the layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastlayer.cache.keys import KeyParts, digest

MOST_NAMED = 3
"""How many things of one kind are named before the rest is counted."""

_MOUNTS = frozenset({"bind", "cache", "tmpfs", "secret", "ssh"})
_NAMES = {
    "user": "the user",
    "directory": "the working directory",
    "network": "the network",
    "platform": "the platform",
    "security": "the security mode",
    "shm": "the size of /dev/shm",
}


def settings(parts: KeyParts) -> dict[str, str]:
    """The settings and the named inputs of a step, each with a short hash of what it is."""
    found: dict[str, list[str]] = {}
    for text in parts.configuration:
        found.setdefault(_setting_name(text), []).append(text)
    for name, key in zip(parts.input_names, parts.inputs or (), strict=False):
        found.setdefault(name, []).append(key)
    return {name: digest(b"setting", [texts])[:16] for name, texts in found.items()}


def differing(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """The names of what is not the same in two results of :func:`settings`, sorted."""
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))


def listed(names: Sequence[str]) -> str:
    """Names in one phrase: at most :data:`MOST_NAMED`, and how many more there are."""
    shown = ", ".join(names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _setting_name(text: str) -> str:
    word, _, rest = text.partition(" ")
    if word == "env":
        return f"the variable {rest.partition('=')[0]}"
    if word in _MOUNTS:
        return f"the {word} mount of {rest.partition(' ')[0]}"
    if word in {"host", "ulimit"}:
        return f"the {word} {rest.partition(' ')[0]}"
    return _NAMES.get(word, f"the setting {word}")
