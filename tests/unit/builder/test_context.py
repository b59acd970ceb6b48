"""Finding the Dockerfile, the ignore rules, and refusing what is no context."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.builder.context import (
    DockerfileText,
    check_directory,
    read_dockerfile,
    read_patterns,
)
from fastlayer.errors import ContextError


def test_dockerfile_names(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="there is no Dockerfile in"):
        read_dockerfile(str(tmp_path), None)
    (tmp_path / "dockerfile").write_bytes(b"lower")
    assert read_dockerfile(str(tmp_path), None).data == b"lower"
    (tmp_path / "Dockerfile").write_bytes(b"upper")
    found = read_dockerfile(str(tmp_path), None)
    assert (found.name, found.data) == ("Dockerfile", b"upper")


def test_dockerfile_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, elsewhere = tmp_path / "context", tmp_path / "elsewhere"
    context.mkdir()
    elsewhere.mkdir()
    (elsewhere / "D").write_bytes(b"outside")
    (context / "D2").write_bytes(b"inside")
    monkeypatch.chdir(elsewhere)
    assert read_dockerfile(str(context), "D").data == b"outside"
    assert read_dockerfile(str(context), "D2").data == b"inside"
    with pytest.raises(ContextError, match="the Dockerfile D3 does not exist"):
        read_dockerfile(str(context), "D3")
    with pytest.raises(ContextError, match="cannot be read: Is a directory"):
        read_dockerfile(str(context), str(context))


def test_the_ignore_file_beside_the_dockerfile_comes_first(tmp_path: Path) -> None:
    dockerfile = DockerfileText("Dockerfile", b"", str(tmp_path / "Dockerfile"))
    assert read_patterns(str(tmp_path), dockerfile) == ()
    (tmp_path / ".dockerignore").write_text("# comment\n*.log\n!keep.log\n")
    assert read_patterns(str(tmp_path), dockerfile) == ("*.log", "!keep.log")
    (tmp_path / "Dockerfile.dockerignore").write_text("node_modules\n")
    assert read_patterns(str(tmp_path), dockerfile) == ("node_modules",)
    stdin = DockerfileText("Dockerfile", b"", None)
    assert read_patterns(str(tmp_path), stdin) == ("*.log", "!keep.log")


def test_what_is_no_context(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ContextError, match="is not a directory"):
        check_directory(str(file))
    with pytest.raises(ContextError, match="does not exist"):
        check_directory(str(tmp_path / "missing"))
    assert check_directory(str(tmp_path)) == str(tmp_path)
