"""The JSON renderer's lines: BuildKit's SolveStatus, field for field."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

from fastlayer.progress.events import (
    BuildFinished,
    BuildWarning,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
    StepStatus,
)
from fastlayer.progress.rawjson import RawJsonRenderer


def lines(*events: Event) -> list[dict[str, Any]]:
    stream = io.StringIO()
    renderer = RawJsonRenderer(stream)
    for event in events:
        renderer.event(event)
    renderer.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_bytes_that_move() -> None:
    _, moving, moved = lines(
        StepStarted(1, "[1/1] COPY . .", 0.0),
        StepStatus(1, "copying", 1.0, 5, 10, began=0.5),
        StepStatus(1, "copying", 2.0, 10, 10, began=0.5, done=True),
    )
    status = moving["statuses"][0]
    assert (status["id"], status["current"], status["total"]) == ("copying", 5, 10)
    assert status["started"] == "1970-01-01T00:00:00.500000Z"
    assert status["timestamp"] == "1970-01-01T00:00:01.000000Z"
    assert "completed" not in status
    assert moved["statuses"][0]["completed"] == "1970-01-01T00:00:02.000000Z"


def test_a_step_from_start_to_end() -> None:
    began, output, status, ended = lines(
        StepStarted(1, "[1/1] RUN make", 1_700_000_000.5),
        StepOutput(1, 2, b"\xffbytes\n", 1_700_000_001.0),
        StepStatus(1, "moving", 1_700_000_001.0, current=1, total=2),
        StepFinished(1, 1_700_000_002.0, 1.5, cached=True),
    )
    digest = began["vertexes"][0]["digest"]
    assert str(digest).startswith("sha256:")
    assert began == {
        "vertexes": [
            {
                "digest": digest,
                "name": "[1/1] RUN make",
                "started": "2023-11-14T22:13:20.500000Z",
            }
        ]
    }
    assert output == {
        "logs": [
            {
                "vertex": digest,
                "stream": 2,
                "data": base64.b64encode(b"\xffbytes\n").decode(),
                "timestamp": "2023-11-14T22:13:21.000000Z",
            }
        ]
    }
    assert status["statuses"] == [
        {
            "id": "moving",
            "vertex": digest,
            "current": 1,
            "total": 2,
            "timestamp": "2023-11-14T22:13:21.000000Z",
        }
    ]
    assert ended["vertexes"] == [
        {
            "digest": digest,
            "name": "[1/1] RUN make",
            "started": "2023-11-14T22:13:20.500000Z",
            "completed": "2023-11-14T22:13:22.000000Z",
            "cached": True,
        }
    ]


def test_inputs_error_warning_and_result() -> None:
    first, second, failed, warning, result = lines(
        StepStarted(1, "a", 0.0),
        StepStarted(2, "b", 0.0, inputs=(1,)),
        StepFinished(2, 1.0, 1.0, error="exit code 1"),
        BuildWarning("careful", "Dockerfile", 7),
        BuildFinished("sha256:1", 1, 2, 3.14159, 5, 7),
    )
    digest = first["vertexes"][0]["digest"]
    assert second["vertexes"][0]["inputs"] == [digest]
    assert failed["vertexes"][0]["error"] == "exit code 1"
    (told,) = warning["warnings"]
    assert base64.b64decode(told["short"]) == b"careful"
    assert told["range"][0]["start"] == {"line": 7}
    assert result == {
        "fastlayer.result": {
            "image": "sha256:1",
            "cached": 1,
            "ran": 2,
            "seconds": 3.142,
            "added_bytes": 5,
            "shared_bytes": 7,
        }
    }
