"""A stream of JSON lines in the form of BuildKit's SolveStatus.

Each line has one or more of ``vertexes``, ``statuses``, ``logs``, ``warnings``. What BuildKit has
no word for stands under keys that begin with ``fastlayer.``. Logs are base64, as Go writes bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import TextIO

from fastlayer.progress.events import (
    BuildFinished,
    BuildWarning,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)


class RawJsonRenderer:
    """Writes one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started: dict[int, StepStarted] = {}
        self._digests: dict[int, str] = {}

    def event(self, event: Event) -> None:
        """Write the event's line."""
        line = self._line(event)
        self._stream.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Do nothing: every line was written at once."""

    def _line(self, event: Event) -> dict[str, object]:
        match event:
            case StepStarted():
                self._started[event.step] = event
                self._digests[event.step] = _digest(event.step, event.name)
                return {"vertexes": [self._vertex(event)]}
            case StepFinished():
                vertex = self._vertex(self._started[event.step]) | {
                    "completed": _timestamp(event.time)
                }
                if event.cached:
                    vertex["cached"] = True
                if event.error is not None:
                    vertex["error"] = event.error
                return {"vertexes": [vertex], "fastlayer.added_bytes": event.added_bytes}
            case StepOutput():
                log = {
                    "vertex": self._digests[event.step],
                    "stream": event.stream,
                    "data": base64.b64encode(event.data).decode("ascii"),
                    "timestamp": _timestamp(event.time),
                }
                return {"logs": [log]}
            case StepStatus():
                return {"statuses": [self._status(event)]}
            case BuildWarning():
                return {"warnings": [_warning(event)]}
            case BuildFinished():
                return {"fastlayer.result": _result(event)}

    def _vertex(self, event: StepStarted) -> dict[str, object]:
        vertex: dict[str, object] = {"digest": self._digests[event.step]}
        inputs = [self._digests[number] for number in event.inputs if number in self._digests]
        if inputs:
            vertex["inputs"] = inputs
        return vertex | {"name": event.name, "started": _timestamp(event.time)}

    def _status(self, event: StepStatus) -> dict[str, object]:
        status: dict[str, object] = {
            "id": event.text,
            "vertex": self._digests[event.step],
            "current": event.current,
            "timestamp": _timestamp(event.time),
        }
        if event.total:
            status["total"] = event.total
        if event.began is not None:
            status["started"] = _timestamp(event.began)
            if event.done:
                status["completed"] = _timestamp(event.time)
        return status


def _digest(number: int, name: str) -> str:
    """BuildKit names a vertex by a digest; ours is unique in a build and the same in each run."""
    return "sha256:" + hashlib.sha256(f"{number} {name}".encode()).hexdigest()


def _timestamp(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"


def _warning(event: BuildWarning) -> dict[str, object]:
    warning: dict[str, object] = {
        "level": 1,
        "short": base64.b64encode(event.text.encode()).decode("ascii"),
        "sourceInfo": {"filename": event.file},
    }
    if event.line:
        warning["range"] = [{"start": {"line": event.line}, "end": {"line": event.line}}]
    return warning


def _result(event: BuildFinished) -> dict[str, object]:
    return {
        "image": event.image_id,
        "cached": event.cached,
        "ran": event.ran,
        "seconds": round(event.seconds, 3),
        "added_bytes": event.added_bytes,
        "shared_bytes": event.shared_bytes,
    }
