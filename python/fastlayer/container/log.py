"""A container's output on disk, in docker's json-file form: one JSON object a line.

``{"log":"text\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}``. A line of output is one
object; one longer than :data:`MAXIMUM_LINE` is several, of which only the last ends in a newline.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastlayer.container.document import timestamp

MAXIMUM_LINE = 16 * 1024
"""Bytes of output in one object at most, as docker has it."""

_STREAMS = {1: "stdout", 2: "stderr"}
_BLOCK = 64 * 1024
# Docker's encoder escapes these so that a log can be put into HTML; it is byte for byte its form.
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One object of a log; ``stream`` is 1 for stdout, 2 for stderr."""

    text: str
    stream: int
    time: str


def encode(text: bytes, stream: int, time: str) -> bytes:
    """One line of the file."""
    message = json.dumps(text.decode("utf-8", "replace"), ensure_ascii=False).translate(_ESCAPES)
    return f'{{"log":{message},"stream":"{_STREAMS[stream]}","time":"{time}"}}\n'.encode()


def decode(line: bytes) -> LogEntry | None:
    """An entry of a line; ``None`` where the line is damaged (a crash cut it short)."""
    try:
        value = json.loads(line)
        stream = 2 if value["stream"] == "stderr" else 1
        return LogEntry(str(value["log"]), stream, str(value["time"]))
    except (ValueError, KeyError, TypeError):
        return None


class LogWriter:
    """Appends output to a log, cut into lines.

    Parameters
    ----------
    path:
        The file; made where it does not exist.
    now:
        Gives the time of an entry.
    """

    def __init__(self, path: Path, now: Callable[[], str] = timestamp) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o640)
        self._now = now
        self._pending = {1: b"", 2: b""}

    def write(self, stream: int, data: bytes) -> None:
        """Take output as it comes; whole lines are written at once, the rest is kept."""
        lines = (self._pending[stream] + data).split(b"\n")
        self._pending[stream] = lines.pop()
        time = self._now()
        entries = []
        for line in lines:
            full = line + b"\n"
            entries += [
                encode(full[start : start + MAXIMUM_LINE], stream, time)
                for start in range(0, len(full), MAXIMUM_LINE)
            ]
        while len(self._pending[stream]) >= MAXIMUM_LINE:
            entries.append(encode(self._pending[stream][:MAXIMUM_LINE], stream, time))
            self._pending[stream] = self._pending[stream][MAXIMUM_LINE:]
        if entries:
            self._append(b"".join(entries))

    def close(self) -> None:
        """Write what has no newline, and close the file."""
        for stream, rest in self._pending.items():
            if rest:
                self._append(encode(rest, stream, self._now()))
        os.close(self._descriptor)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def read(path: Path, *, tail: int | None = None) -> Iterator[LogEntry]:
    """The entries of a log, the oldest first; the last ``tail`` where it is given."""
    try:
        with path.open("rb") as file:
            if tail is not None:
                file.seek(tail_offset(path, tail))
            for line in file:
                entry = decode(line)
                if entry is not None:
                    yield entry
    except FileNotFoundError:
        return


def tail_offset(path: Path, count: int) -> int:
    """Where in the file the last ``count`` lines begin, found from the end."""
    with path.open("rb") as file:
        end = position = file.seek(0, os.SEEK_END)
        if count <= 0:
            return end
        newlines = -1  # the one that ends the last line does not count
        while position > 0:
            start = max(0, position - _BLOCK)
            file.seek(start)
            block = file.read(position - start)
            if position == end and not block.endswith(b"\n"):
                newlines = 0
            for index in range(len(block) - 1, -1, -1):
                if block[index] == 0x0A:
                    newlines += 1
                    if newlines == count:
                        return start + index + 1
            position = start
    return 0
