from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.container import config, document, state
from fastlayer.container.config import AnonymousVolume, ContainerConfig
from fastlayer.container.mounts import Mount
from fastlayer.container.spec import Ulimit
from fastlayer.container.state import AdoptedLayer, ContainerState
from fastlayer.errors import CorruptError, StoreFormatError

NOW = "2026-01-02T03:04:05Z"


def test_the_life_of_a_container() -> None:
    created = ContainerState()
    running = created.running(7, NOW)
    exited = running.exited(3, NOW)
    again = exited.running(8, NOW)
    assert [s.status for s in (created, running, exited, again)] == [
        "created",
        "running",
        "exited",
        "running",
    ]
    assert (exited.pid, exited.exit_code, exited.finished) == (0, 3, NOW)
    assert (again.exit_code, again.finished) == (0, "")


def test_a_failed_start_leaves_the_status() -> None:
    failed = ContainerState().failed(127, "no such program")
    assert (failed.status, failed.exit_code, failed.error) == ("created", 127, "no such program")


def test_state_survives_its_document() -> None:
    layer = AdoptedLayer(diff_id="sha256:1", history={"comment": "x"})
    value = ContainerState().running(7, NOW).exited(1, NOW, error="e").adopted(layer)
    assert state.from_value(value.to_value(), "state") == value


@pytest.mark.parametrize(
    "change",
    [{"status": "flying"}, {"pid": "x"}, {"layers": 3}, {"layers": [{}]}],
)
def test_a_damaged_state_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CorruptError, match="state is damaged"):
        state.from_value({**ContainerState().to_value(), **change}, "state")


def container_config() -> ContainerConfig:
    return ContainerConfig(
        identifier="ab" * 32,
        name="web",
        created=NOW,
        image="site",
        image_id="sha256:" + "0" * 64,
        document={
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": []},
        },
        path="sh",
        arguments=("-c", "true"),
        environment=("A=1",),
        mounts=(Mount("bind", "/a", "/b", True, ("x",), False),),
        volumes=(AnonymousVolume(name="v", target="/data"),),
        extra_hosts=(("db", "10.0.0.1"),),
        ulimits=(Ulimit("nofile", 1, 2),),
        ports=("80:80",),
        terminal=True,
    )


def test_config_survives_its_document() -> None:
    value = container_config()
    assert config.from_value(value.to_value(), "config") == value
    assert value.image_config().config.cmd == ("sh",)


@pytest.mark.parametrize(
    "change",
    [{"name": 1}, {"mounts": [1]}, {"arguments": [1]}, {"ulimits": [[1]]}],
)
def test_a_damaged_config_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CorruptError):
        config.from_value({**container_config().to_value(), **change}, "config")


@pytest.mark.parametrize("version", [0, 2, None])
def test_a_config_of_another_version_is_refused(version: int | None) -> None:
    with pytest.raises(StoreFormatError, match="knows version 1 only"):
        config.from_value({**container_config().to_value(), "version": version}, "config")


def test_documents_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    document.write(path, {"a": 1})
    document.write(path, {"a": "é"})
    assert document.read(path) == {"a": "é"}
    assert [child.name for child in tmp_path.iterdir()] == ["state.json"]


def test_a_document_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("[1]")
    with pytest.raises(CorruptError):
        document.read(path)
    path.write_text("{")
    with pytest.raises(CorruptError):
        document.read(path)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_767_323_045_123_456_789, "2026-01-02T03:04:05.123456789Z"),
    ],
)
def test_timestamps(nanoseconds: int, text: str) -> None:
    assert document.timestamp(nanoseconds) == text
    assert document.parse_timestamp(text) == nanoseconds
