"""What ``build``'s flags name, read: pairs, secrets, agents, contexts, annotations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from fastlayer.errors import UsageError

ENTITLEMENTS = ("security.insecure", "network.host")
"""What ``--allow`` takes. The host's network needs no permission."""


def read_pairs(texts: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``K=V`` texts; a ``K`` alone is looked up, and left out where it is not set."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f"{text!r} has no name in front of the =")
        if equals:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    return found


def read_secrets(texts: Sequence[str]) -> dict[str, bytes]:
    """Secrets by id, from files and variables."""
    found = {}
    for text in texts:
        fields = dict(field.partition("=")[::2] for field in text.split(","))
        kind = fields.pop("type", "")
        identity = fields.pop("id", "")
        path = fields.pop("src", "") or fields.pop("source", "")
        variable = fields.pop("env", "")
        if not identity or fields or kind not in {"", "file", "env"}:
            raise UsageError(
                f"--secret {text} is not understood", hint="write id=NAME,src=FILE or ,env=NAME"
            )
        if variable or (not path and (kind == "env" or identity in os.environ)):
            name = variable or identity
            if name not in os.environ:
                raise UsageError(f"--secret {text}: the variable {name} is not set")
            found[identity] = os.environb[os.fsencode(name)]
            continue
        try:
            with open(path or identity, "rb") as stream:
                found[identity] = stream.read()
        except OSError as error:
            raise UsageError(f"--secret {text}: {path or identity}: {error.strerror}") from error
    return found


def read_agents(texts: Sequence[str]) -> dict[str, str]:
    """Sockets of SSH agents, or private keys, by id; an id alone is ``$SSH_AUTH_SOCK``'s agent."""
    found = {}
    for text in texts:
        identity, equals, paths = text.partition("=")
        if not identity:
            raise UsageError(f"--ssh {text} has no id", hint="write default, ID=SOCKET or ID=KEY")
        if not equals:
            paths = os.environ.get("SSH_AUTH_SOCK", "")
            if not paths:
                raise UsageError(
                    f"--ssh {text}: there is no agent: SSH_AUTH_SOCK is not set",
                    hint="start one with: eval $(ssh-agent) && ssh-add",
                )
        for path in paths.split(","):
            try:
                os.stat(path)
            except OSError as error:
                raise UsageError(f"--ssh {text}: {path}: {error.strerror}") from error
        found[identity] = ",".join(os.path.abspath(path) for path in paths.split(","))
    return found


def read_allowed(texts: Sequence[str]) -> frozenset[str]:
    """``--allow``, checked."""
    wanted = [name for text in texts for name in text.split(",")]
    for name in wanted:
        if name not in ENTITLEMENTS:
            raise UsageError(
                f"--allow {name} is not supported", hint=f"one of {', '.join(ENTITLEMENTS)}"
            )
    return frozenset(wanted)


def read_contexts(texts: Sequence[str]) -> dict[str, str]:
    """``--build-context NAME=PLACE``, as pairs."""
    found = {}
    for text in texts:
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise UsageError(
                f"--build-context {text} is not understood",
                hint="write NAME=DIRECTORY, NAME=docker-image://IMAGE or NAME=oci-layout://PATH",
            )
        found[name] = place
    return found


def read_annotations(texts: Sequence[str]) -> dict[str, str]:
    """``--annotation [manifest:]K=V``, as pairs."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        level, colon, name = key.partition(":")
        if colon and level in {"index", "manifest-descriptor", "index-descriptor"}:
            raise UsageError(
                f"--annotation {text}: an annotation of the {level} is not supported",
                hint="leave the head out for one of the manifest",
            )
        key = name if colon and level == "manifest" else key
        if not (key and equals):
            raise UsageError(f"--annotation {text} is not K=V")
        found[key] = value
    return found


def read_list(texts: Sequence[str]) -> tuple[str, ...]:
    """Values that may be given together, with commas between them."""
    return tuple(name for text in texts for name in text.split(",") if name)
