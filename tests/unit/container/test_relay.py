"""The monitor's loop, with plain processes in place of containers."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.requirements import need_core

need_core()

from fastlayer.container import attach, log  # noqa: E402
from fastlayer.container.attach import Frame, Kind  # noqa: E402
from fastlayer.container.launch import ChildProcess, Launched, set_size  # noqa: E402
from fastlayer.container.log import LogWriter  # noqa: E402
from fastlayer.container.relay import Relay  # noqa: E402


@dataclass
class Peer:
    """The client's end of one attached connection."""

    connection: socket.socket

    def send(self, kind: Kind, payload: bytes = b"") -> None:
        self.connection.sendall(attach.encode(kind, payload))

    def frames(self) -> list[Frame]:
        decoder = attach.Decoder()
        frames: list[Frame] = []
        while data := self.connection.recv(65536):
            frames += decoder.feed(data)
        return frames


def start(command: str) -> tuple[subprocess.Popen[bytes], Launched]:
    process = subprocess.Popen(
        ["sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin and process.stdout and process.stderr
    streams = [os.dup(s.fileno()) for s in (process.stdin, process.stdout, process.stderr)]
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    return process, Launched(process.pid, Path("/"), ChildProcess(process.pid), *streams)


def relay(
    process: subprocess.Popen[bytes], launched: Launched, path: Path, act: Callable[[Peer], None]
) -> list[Frame]:
    """Run the loop with one client that does ``act`` and then reads to the end."""
    ours, theirs = socket.socketpair()
    frames: list[Frame] = []

    def client() -> None:
        with ours:
            act(Peer(ours))
            frames.extend(Peer(ours).frames())

    thread = threading.Thread(target=client)
    thread.start()
    writer = LogWriter(path)
    loop = Relay(launched, writer)
    loop.add_client(theirs)
    loop.run()
    loop.close_streams()
    writer.close()
    code = process.wait()
    loop.finish(attach.encode_numbers(Kind.EXITED, code))
    thread.join(10)
    assert not thread.is_alive()
    return frames


def output(frames: list[Frame], kind: Kind = Kind.STDOUT) -> bytes:
    return b"".join(frame.payload for frame in frames if frame.kind is kind)


def test_output_reaches_client_and_log(tmp_path: Path) -> None:
    process, launched = start("echo out; echo err >&2; exit 3")
    frames = relay(process, launched, tmp_path / "log", lambda _: None)
    assert output(frames) == b"out\n"
    assert output(frames, Kind.STDERR) == b"err\n"
    assert frames[-1].numbers() == (3,)
    assert {(e.text, e.stream) for e in log.read(tmp_path / "log")} == {("out\n", 1), ("err\n", 2)}


def test_stdin_is_passed_and_ended(tmp_path: Path) -> None:
    def act(peer: Peer) -> None:
        peer.send(Kind.STDIN, b"one\n")
        peer.send(Kind.STDIN, b"two\n")
        peer.send(Kind.STDIN_END)

    process, launched = start("cat; echo end")
    assert output(relay(process, launched, tmp_path / "log", act)) == b"one\ntwo\nend\n"


def test_much_in_and_much_out_do_not_block_each_other(tmp_path: Path) -> None:
    line = b"x" * 1023 + b"\n"

    def act(peer: Peer) -> None:
        def send() -> None:
            for _ in range(16):
                peer.send(Kind.STDIN, line * 512)
            peer.send(Kind.STDIN_END)

        threading.Thread(target=send, daemon=True).start()

    process, launched = start("cat")
    frames = relay(process, launched, tmp_path / "log", act)
    assert output(frames) == line * 512 * 16


def test_a_slow_client_gets_everything(tmp_path: Path) -> None:
    process, launched = start("head -c 5000000 /dev/zero | tr '\\0' 'y'; echo")
    frames = relay(process, launched, tmp_path / "log", lambda _: time.sleep(0.5))
    assert output(frames) == b"y" * 5_000_000 + b"\n"


def test_a_client_that_leaves_holds_nothing_up(tmp_path: Path) -> None:
    process, launched = start("sleep 0.1; head -c 3000000 /dev/zero | tr '\\0' 'y'; echo; exit 5")
    frames = relay(process, launched, tmp_path / "log", lambda peer: peer.connection.shutdown(2))
    assert frames == []
    assert process.returncode == 5
    assert sum(len(entry.text) for entry in log.read(tmp_path / "log")) == 3_000_001


def test_signals_reach_the_process(tmp_path: Path) -> None:
    def act(peer: Peer) -> None:
        time.sleep(0.3)
        peer.connection.sendall(attach.encode_numbers(Kind.SIGNAL, 15))

    process, launched = start("trap 'echo caught; exit 7' TERM; while :; do sleep 0.05; done")
    frames = relay(process, launched, tmp_path / "log", act)
    assert output(frames) == b"caught\n"
    assert frames[-1].numbers() == (7,)


def test_a_terminal_echoes_resizes_and_ends(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    set_size(master, 10, 20)
    process = subprocess.Popen(
        ["sh", "-c", "stty size; read x; stty size; echo got $x"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)

    def act(peer: Peer) -> None:
        time.sleep(0.3)
        peer.connection.sendall(attach.encode_numbers(Kind.RESIZE, 33, 44))
        peer.send(Kind.STDIN, b"hi\n")

    launched = Launched(process.pid, Path("/"), ChildProcess(process.pid), terminal=master)
    frames = relay(process, launched, tmp_path / "log", act)
    assert output(frames) == b"10 20\r\nhi\r\n33 44\r\ngot hi\r\n"


@pytest.mark.timeout(30)
def test_a_pipe_held_from_outside_does_not_hold_the_end(tmp_path: Path) -> None:
    process, launched = start("sleep 20 & echo done")
    frames = relay(process, launched, tmp_path / "log", lambda _: None)
    assert output(frames) == b"done\n"
