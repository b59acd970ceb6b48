from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.cli import container_request as read
from fastlayer.container.spec import Ulimit
from fastlayer.errors import UsageError


def test_environment_from_files_and_options(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\n\nA=1\n  B=two words\nC\nMISSING\n")
    pairs = read.read_environment([str(file)], ["D=x=y", "E"], {"C": "own", "E": "e"})
    assert pairs == (("A", "1"), ("B", "two words"), ("C", "own"), ("D", "x=y"), ("E", "e"))


@pytest.mark.parametrize("text", ["=x", " A=1"])
def test_bad_variables(text: str) -> None:
    with pytest.raises(UsageError):
        read.read_environment([], [text], {})


def test_a_missing_env_file_is_named() -> None:
    with pytest.raises(UsageError, match="/no/such"):
        read.read_environment(["/no/such"], [], {})


def test_volumes(tmp_path: Path) -> None:
    new, file = tmp_path / "new", tmp_path / "file"
    file.touch()
    mounts, anonymous = read.read_volumes([f"{new}:/a", f"{file}:/b:ro", "/c"])
    assert new.is_dir()
    assert [(m.target, m.read_only, m.is_directory) for m in mounts] == [
        ("/a", False, True),
        ("/b", True, False),
    ]
    assert anonymous == ("/c",)
    with pytest.raises(UsageError, match="duplicate mount point"):
        read.read_volumes(["/x", "/x"])


@pytest.mark.parametrize(
    ("text", "port"),
    [("80", "80/tcp"), ("8080:80", "80/tcp"), ("127.0.0.1::53/udp", "53/udp")],
)
def test_ports(text: str, port: str) -> None:
    assert read.read_ports([text]) == ((text, port),)


@pytest.mark.parametrize("text", ["", "a", "0", "1:70000", "80/icmp", "80-90"])
def test_bad_ports(text: str) -> None:
    with pytest.raises(UsageError):
        read.read_ports([text])


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("1G", 1 << 30), ("1.5k", 1536), ("7", 7), ("2mb", 2 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert read.read_size(text, "--shm-size") == size


def test_bad_size() -> None:
    with pytest.raises(UsageError, match="--shm-size"):
        read.read_size("lots", "--shm-size")


def test_ulimits() -> None:
    assert read.read_ulimits(["nofile=1:2", "core=-1"]) == (
        Ulimit("nofile", 1, 2),
        Ulimit("core", 2**64 - 1, 2**64 - 1),
    )
    for text in ("nofile", "files=1", "nofile=a"):
        with pytest.raises(UsageError):
            read.read_ulimits([text])


def test_tmpfs() -> None:
    (mount,) = read.read_tmpfs(["/run:size=1m,exec"])
    assert mount.target == "/run"
    assert "noexec" not in mount.options


def test_mounts(tmp_path: Path) -> None:
    bind, memory = read.read_mounts(
        [f"type=bind,src={tmp_path},dst=/a/,ro", "type=tmpfs,destination=/b,tmpfs-size=1m"]
    )
    assert (bind.kind, bind.target, bind.source, bind.read_only) == (
        "bind",
        "/a",
        str(tmp_path),
        True,
    )
    assert "size=1m" in memory.options


@pytest.mark.parametrize(
    "text",
    [
        "type=volume,src=v,dst=/a",
        "type=bind,src=/,dst=a",
        "type=bind,src=/no/such,dst=/a",
        "type=bind,src=/,dst=/a,bind-propagation=shared",
    ],
)
def test_mounts_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--mount"):
        read.read_mounts([text])
