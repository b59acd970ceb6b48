"""RUN with an SSH agent of the user's, and RUN that may do everything."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastlayer.builder.key_agent import agent_sockets
from fastlayer.builder.ssh_agent import AgentSocket
from fastlayer.errors import BuildError, DockerfileError, UsageError

from tests.support.ways import without

if TYPE_CHECKING:
    from tests.integration.building import Workshop


# A plain tree with nothing mounted is a plain tree, too.
pytestmark = without("plain")


@pytest.fixture(autouse=True)
def _runs(way: str) -> None:
    """Every way in which steps run."""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(b"agent got " + line)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of something that answers lines: it stands for an agent."""
    path = tmp_path / "agent"
    with socketserver.ThreadingUnixStreamServer(str(path), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield str(path)
        server.shutdown()
        thread.join()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


@without("builtin", "plain", "chroot")
def test_connections_are_passed_on_until_the_step_ends(agent: str, tmp_path: Path) -> None:
    path = tmp_path / "inside"
    made = AgentSocket(agent, path, mode=0o640, uid=1000, gid=1001)
    found = path.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 1000, 1001)
    with connect(path) as first, connect(path) as second:
        for client, text in ((first, b"one\n"), (second, b"two\n"), (first, b"three\n")):
            client.sendall(text)
            assert client.recv(100) == b"agent got " + text
        first.sendall(b"last\n")
        first.shutdown(socket.SHUT_WR)
        assert first.recv(100) + first.recv(100) == b"agent got last\n"
        made.close()
        assert second.recv(100) == b""
    with pytest.raises(OSError, match=r"refused"):
        connect(path)


def test_an_agent_leaves_nothing_behind(workshop: Workshop, agent: str) -> None:
    text = (
        "FROM busybox\n"
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /where "
        "&& stat -c '%a %u %g' $SSH_AUTH_SOCK > /bears\n"
    )
    result = workshop.build(text, ssh={"default": agent})
    assert workshop.read(result, "/where") == b"/run/buildkit/ssh_agent.0\n"
    assert workshop.read(result, "/bears") == b"600 0 0\n"
    assert workshop.last_layer(result).keys() - {""} == {"bears", "where"}
    assert workshop.build(text, ssh={"default": agent}).steps[-1].cached


def test_an_agent_for_another_user_at_another_place(workshop: Workshop, agent: str) -> None:
    result = workshop.build(
        "FROM busybox\n"
        "RUN --mount=type=ssh,id=git,target=/tmp/a,uid=1000,gid=1001,mode=0640 "
        "test -S /tmp/a && stat -c '%a %u %g' /tmp/a > /bears\n",
        ssh={"git": agent},
    )
    assert workshop.read(result, "/bears") == b"640 1000 1001\n"


def test_an_agent_that_is_not_given(workshop: Workshop, agent: str) -> None:
    text = "FROM busybox\nRUN --mount=type=ssh,id=git echo ${SSH_AUTH_SOCK:-none} > /where\n"
    without = workshop.build(text)
    assert workshop.read(without, "/where") == b"none\n"
    assert not workshop.build(text, ssh={"git": agent}).steps[-1].cached
    with pytest.raises(DockerfileError, match="Dockerfile:2: the SSH agent git is required"):
        workshop.build("FROM busybox\nRUN --mount=type=ssh,id=git,required x\n")


def test_an_agent_that_is_gone(workshop: Workshop, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN --mount=type=ssh true\n"
    path = tmp_path / "agent"
    with pytest.raises(UsageError, match="agent: No such file or directory"):
        workshop.build(text, ssh={"default": str(path)})
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    with pytest.raises(BuildError, match=r"Dockerfile:2: the SSH agent .*/agent does not answer"):
        workshop.build(text, ssh={"default": str(path)})


def test_a_key_that_no_agent_holds(workshop: Workshop, tmp_path: Path) -> None:
    public = {}
    for name, phrase in (("plain", ""), ("other", ""), ("locked", "secret")):
        file = str(tmp_path / name)
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", "", "-f", file]
        subprocess.run(words, check=True)
        public[name] = (tmp_path / f"{name}.pub").read_text().split()[1]
    text = "FROM busybox\nRUN --mount=type=ssh true\n"
    keys = f"{tmp_path / 'plain'},{tmp_path / 'other'}"
    with agent_sockets({"default": keys}) as sockets:
        environment = {"SSH_AUTH_SOCK": sockets["default"], "PATH": os.environ["PATH"]}
        held = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, check=True)
        assert [line.split()[1] for line in held.stdout.decode().splitlines()] == [
            public["plain"],
            public["other"],
        ]
    assert not Path(sockets["default"]).exists()
    os.chmod(tmp_path / "plain", 0o644)
    command = workshop.command()
    (workshop.context / "Dockerfile").write_text(text)
    command.run("build", "-q", "--ssh", f"default={keys}", workshop.context)
    for name, message in (("locked", "locked cannot be used"), ("plain.pub", "cannot be used")):
        with pytest.raises(BuildError, match=message):
            workshop.build(text, ssh={"default": str(tmp_path / name)})
    with pytest.raises(UsageError, match="neither the socket of an agent nor a private key"):
        workshop.build(text, ssh={"default": str(tmp_path)})


@without("chroot")
def test_insecure_needs_to_be_allowed_and_may_mount(workshop: Workshop) -> None:
    mount = "mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m && echo done > /out"
    text = f"FROM busybox\nRUN --security=insecure {mount}\n"
    with pytest.raises(DockerfileError, match="--security=insecure is not allowed") as raised:
        workshop.build(text)
    assert raised.value.hint == "allow it with --allow security.insecure"
    result = workshop.build(text, allow=["security.insecure"])
    assert workshop.read(result, "/out") == b"done\n"
    with pytest.raises(BuildError, match="exit code"):
        workshop.build(f"FROM busybox\nRUN {mount}\n", allow=["security.insecure"])
