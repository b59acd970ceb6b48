from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastlayer.container import log
from fastlayer.container.log import LogEntry, LogWriter

TIME = "2026-01-02T03:04:05.123456789Z"


def written(path: Path, *chunks: tuple[int, bytes]) -> list[bytes]:
    writer = LogWriter(path, now=lambda: TIME)
    for stream, data in chunks:
        writer.write(stream, data)
    writer.close()
    return path.read_bytes().splitlines()


def test_a_line_is_dockers_byte_for_byte(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", (1, b'a <b> & "c"\n'))
    expected = (
        b'{"log":"a \\u003cb\\u003e \\u0026 \\"c\\"\\n","stream":"stdout",'
        b'"time":"2026-01-02T03:04:05.123456789Z"}'
    )
    assert lines == [expected]


def test_lines_are_joined_from_chunks_and_streams_kept_apart(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", (1, b"he"), (2, b"oops\n"), (1, b"llo\nrest"))
    entries = [json.loads(line) for line in lines]
    assert [(e["log"], e["stream"]) for e in entries] == [
        ("oops\n", "stderr"),
        ("hello\n", "stdout"),
        ("rest", "stdout"),
    ]


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", (1, b"x" * 40_000 + b"\n"))
    texts = [json.loads(line)["log"] for line in lines]
    assert [len(text) for text in texts] == [16384, 16384, 7233]
    assert texts[-1].endswith("x\n")


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    (line,) = written(tmp_path / "log", (1, b"\xff\n"))
    assert json.loads(line)["log"] == "\ufffd\n"


@pytest.mark.parametrize(("tail", "expected"), [(None, 5), (0, 0), (1, 1), (3, 3), (9, 5)])
def test_tail(tmp_path: Path, tail: int | None, expected: int) -> None:
    path = tmp_path / "log"
    written(path, (1, b"".join(b"%d\n" % n for n in range(5))))
    entries = list(log.read(path, tail=tail))
    assert len(entries) == expected
    if entries:
        assert entries[-1] == LogEntry("4\n", 1, TIME)


def test_tail_reads_from_the_end_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, (1, b"".join(b"line %d\n" % n for n in range(5000))))
    assert [e.text for e in log.read(path, tail=2)] == ["line 4998\n", "line 4999\n"]


def test_a_line_cut_short_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, (1, b"whole\n"))
    with path.open("ab") as file:
        file.write(b'{"log":"half')
    assert [entry.text for entry in log.read(path)] == ["whole\n"]


def test_a_container_that_never_ran_has_no_log(tmp_path: Path) -> None:
    assert list(log.read(tmp_path / "none")) == []
