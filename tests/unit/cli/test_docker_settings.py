"""The proxies of docker's settings file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastlayer.cli.docker_settings import proxy_arguments
from fastlayer.errors import UsageError


def test_default_proxies_become_arguments(tmp_path: Path) -> None:
    settings = {
        "auths": {"a": {}},
        "proxies": {
            "default": {"httpProxy": "http://p:1", "noProxy": "a,b", "ftpProxy": ""},
            "tcp://elsewhere": {"httpProxy": "http://q:2"},
        },
    }
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps(settings))
    expected = {
        "HTTP_PROXY": "http://p:1",
        "http_proxy": "http://p:1",
        "NO_PROXY": "a,b",
        "no_proxy": "a,b",
    }
    assert proxy_arguments({"HOME": str(tmp_path)}) == expected
    assert proxy_arguments({"DOCKER_CONFIG": str(tmp_path / ".docker")}) == expected


@pytest.mark.parametrize("text", [None, "{}", '{"proxies": {}}', '{"proxies": {"default": {}}}'])
def test_without_proxies(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    assert proxy_arguments({"DOCKER_CONFIG": str(tmp_path)}) == {}


def test_settings_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert proxy_arguments({"HOME": str(tmp_path)}) == {}
    with pytest.raises(UsageError, match=r"config.json: Permission denied"):
        proxy_arguments({"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"proxies": 1}', '{"proxies": {"default": {"httpProxy": 5}}}', "\xff"],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=str(tmp_path / "config.json")):
        proxy_arguments({"DOCKER_CONFIG": str(tmp_path)})
