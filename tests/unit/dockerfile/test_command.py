"""``python -m fastlayer.dockerfile``."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.dockerfile.__main__ import main


def test_dump(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "Dockerfile"
    file.write_bytes(b'FROM a\nONBUILD COPY --from=x "\xff" [\nFOO bar\n')
    assert main(["dump", str(file)]) == 0
    wanted = '(from "a")\n(onbuild (copy ["--from=x"] "\\"\\xff\\"" "["))\n(foo "")\n'
    assert capfd.readouterr().out == wanted


def test_check(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "Dockerfile"
    file.write_bytes(b"FROM a\n  FOM bar\n")
    assert main(["check", str(file)]) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"error: {file}:2: unknown instruction: FOM",
        "  2:3 |   FOM bar",
        "      |   ^^^",
        "hint: did you mean FROM?",
    ]
    file.write_bytes(b"FROM a\n")
    assert main(["check", str(file)]) == 0
    assert capfd.readouterr() == ("", "")


def test_bad_calls(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["bake", "x"]) == 2
    assert main(["dump", str(tmp_path / "none")]) == 1
    assert "cannot read" in capfd.readouterr().err
