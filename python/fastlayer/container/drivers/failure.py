"""Why a process could not be started: from a runtime's log to an error."""

from __future__ import annotations

import json
from pathlib import Path

from fastlayer.errors import ContainerError

MISSING_PROGRAM = ("no such file", "not found", "NotFound", "No such file")
"""How runtimes say that there is no such program."""

_HINT = "check the command and the entrypoint against the image's files"


def failure_text(log: Path) -> str:
    """The runtime's own last error in its JSON log; empty where the runtime did not fail."""
    try:
        lines = log.read_bytes().splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in {"error", "fatal", "ERROR"}:
            return str(entry.get("msg", "")).replace("\n", " ")
    return ""


def start_failure(text: str) -> ContainerError:
    """The error of a process that could not be started, with docker's exit code for its reason."""
    _, found, short = text.partition("unable to start container process: ")
    error = ContainerError(
        f"cannot start the process: {short if found else text}",
        hint=_HINT,
    )
    if any(mark in text for mark in ("executable file not found", *MISSING_PROGRAM)):
        error.exit_code = 127
    elif "permission denied" in text or "not a directory" in text or "is a directory" in text:
        error.exit_code = 126
    return error


def not_started(message: str, exit_code: int) -> ContainerError:
    """The error of a process that could not be started, where its exit code is known."""
    error = ContainerError(f"cannot start the process: {message}", hint=_HINT)
    error.exit_code = exit_code
    return error
