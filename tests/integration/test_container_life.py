"""Containers over time: detached, listed, logged, stopped, started again, removed."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.busybox_store import container_store
from tests.support.command import Command

FOREVER = "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.05; done"


@pytest.fixture(scope="module", params=["runc", "builtin"])
def fastlayer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    """With each driver that runs containers, chosen as a user chooses one."""
    with container_store(str(request.param), tmp_path_factory.mktemp("life")) as command:
        yield command


def detached(fastlayer: Command, name: str, script: str = FOREVER, *options: str) -> str:
    return fastlayer.text("run", "-d", "--name", name, *options, "base", "sh", "-c", script)


def wait_for(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_life_of_a_detached_container(fastlayer: Command) -> None:
    identifier = detached(fastlayer, "web", FOREVER, "-p", "80:80")
    assert len(identifier) == 64
    header, row = fastlayer.text("ps").splitlines()
    assert header.split("   ")[0] == "CONTAINER ID"
    assert row.startswith(f"{identifier[:12]}   base")
    assert row.endswith("web")
    assert " Up " in row
    wait_for(lambda: fastlayer.text("logs", "web") == "up")
    assert fastlayer.text("stop", "web") == "web"
    assert "Exited (4)" in fastlayer.text("ps", "-a")
    assert fastlayer.text("ps", "-q") == ""
    assert fastlayer.text("logs", "web") == "up\nbye"
    assert fastlayer.text("start", "web") == "web"
    wait_for(lambda: fastlayer.text("logs", "--tail", "1", "web") == "up")
    done = fastlayer.run("rm", "web", check=False)
    assert done.returncode
    assert b"it is running" in done.stderr
    assert fastlayer.text("rm", "-f", "web") == "web"
    assert fastlayer.text("ps", "-aq") == ""


def test_a_process_that_ignores_the_signal_is_killed(fastlayer: Command) -> None:
    detached(fastlayer, "deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    wait_for(lambda: fastlayer.text("logs", "deaf") == "up")
    begin = time.monotonic()
    fastlayer.run("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - begin < 8
    assert "Exited (137)" in fastlayer.text("ps", "-a")
    fastlayer.run("rm", "deaf")


def test_names_are_unique_and_prefixes_work(fastlayer: Command) -> None:
    identifier = detached(fastlayer, "one")
    done = fastlayer.run("run", "--name", "one", "base", "true", check=False)
    assert done.returncode == 125
    assert b"the container name one is in use" in done.stderr
    assert fastlayer.text("inspect", "-f", "{{.Name}}", identifier[:8]) == "/one"
    fastlayer.run("rm", "-f", identifier[:8])
    missing = fastlayer.run("rm", "one", check=False)
    assert missing.returncode
    assert b"no such container: one" in missing.stderr


def test_changes_stay_from_start_to_start(fastlayer: Command) -> None:
    script = "cat /kept 2>/dev/null; echo again >> /kept"
    fastlayer.run("run", "--name", "keeper", "base", "sh", "-c", script)
    assert fastlayer.text("start", "-a", "keeper") == "again"
    assert fastlayer.text("start", "-a", "keeper") == "again\nagain"
    assert fastlayer.text("diff", "keeper") == "A /kept"
    fastlayer.run("rm", "keeper")


def test_diff_lists_nothing_of_ours(fastlayer: Command) -> None:
    script = "rm /etc/group; echo x >> /etc/passwd; mkdir /new; touch /new/f"
    fastlayer.run("run", "--name", "changer", "-v", "/tmp:/mnt/here", "base", "sh", "-c", script)
    assert fastlayer.text("diff", "changer").splitlines() == [
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "A /new",
        "A /new/f",
    ]
    fastlayer.run("rm", "changer")


def test_a_killed_monitor_is_noticed(fastlayer: Command) -> None:
    identifier = detached(fastlayer, "lost")
    monitors = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and identifier in _command_line(entry)
    ]
    for monitor in monitors:
        if b"runc" not in Path(f"/proc/{monitor}/cmdline").read_bytes():
            os.kill(monitor, signal.SIGKILL)
    wait_for(lambda: "Exited (137)" in fastlayer.text("ps", "-a"))
    assert fastlayer.text("start", "lost") == "lost"
    wait_for(lambda: fastlayer.text("logs", "lost").endswith("up"))
    fastlayer.run("rm", "-f", "lost")


def test_logs_follow_until_the_end(fastlayer: Command) -> None:
    detached(fastlayer, "talker", "for n in 1 2 3; do echo $n; echo e$n >&2; sleep 0.2; done")
    done = fastlayer.run("logs", "-f", "talker", timeout=20)
    assert done.stdout == b"1\n2\n3\n"
    assert done.stderr == b"e1\ne2\ne3\n"
    stamped = fastlayer.text("logs", "-t", "-n", "2", "talker")
    assert stamped[:4].isdigit()
    fastlayer.run("rm", "talker")


def test_formats_and_filters(fastlayer: Command) -> None:
    detached(fastlayer, "listed", FOREVER, "-l", "kind=test")
    row = json.loads(fastlayer.text("ps", "--format", "json", "-f", "name=listed"))
    assert row["Names"] == "listed"
    assert row["State"] == "running"
    assert fastlayer.text("ps", "--format", "{{.Names}}: {{.Image}}", "-f", "label=kind") == (
        "listed: base"
    )
    assert fastlayer.text("ps", "-q", "-f", "label=kind=other") == ""
    assert fastlayer.run("ps", "-f", "color=red", check=False).returncode == 125
    fastlayer.run("rm", "-f", "listed")


def test_rm_removes_itself(fastlayer: Command) -> None:
    fastlayer.run("run", "--rm", "--name", "brief", "base", "true")
    assert fastlayer.text("ps", "-aq") == ""
    assert not [n for n in os.listdir(fastlayer.root / "containers") if "brief" in n]


def test_many_at_once(fastlayer: Command) -> None:
    processes = [
        subprocess.Popen(
            fastlayer.argv("run", "--rm", "base", "echo", str(number)),
            env=fastlayer.environ(),
            stdout=subprocess.PIPE,
        )
        for number in range(8)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == [b"%d\n" % number for number in range(8)]


def test_image_volumes_are_seeded_and_kept_apart(fastlayer: Command, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM base\nRUN mkdir /data && echo seed > /data/s && chown app /data\nVOLUME /data\n"
    )
    fastlayer.run("build", "-q", "-t", "withvolume", context)
    script = "cat /data/s; stat -c %u /data; echo new > /data/n"
    output = fastlayer.text("run", "--name", "vol", "withvolume", "sh", "-c", script)
    assert output == "seed\n1000"
    assert fastlayer.text("diff", "vol") == ""
    fastlayer.run("rm", "vol")


def test_copy_out(fastlayer: Command, tmp_path: Path) -> None:
    script = "mkdir -p /srv/d; echo one > /srv/d/f; ln -s f /srv/d/l; ln /srv/d/f /srv/d/h"
    fastlayer.run("run", "--name", "source", "base", "sh", "-c", script)
    fastlayer.run("cp", "source:/srv/d", tmp_path / "new")
    assert (tmp_path / "new" / "f").read_text() == "one\n"
    assert os.readlink(tmp_path / "new" / "l") == "f"
    assert (tmp_path / "new" / "h").samefile(tmp_path / "new" / "f")
    fastlayer.run("cp", "source:/srv/d", tmp_path)
    assert (tmp_path / "d" / "f").exists()
    fastlayer.run("cp", "base:/etc/passwd", tmp_path)
    assert (tmp_path / "passwd").read_bytes().startswith(b"root:")
    tar = fastlayer.run("cp", "source:/srv/d", "-").stdout
    assert b"d/f" in tar
    wrong = fastlayer.run("cp", "source:/no", tmp_path, check=False)
    assert b"no such file or directory: /no" in wrong.stderr
    fastlayer.run("rm", "source")


def _command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_exec_leaves_a_process_alone(fastlayer: Command) -> None:
    detached(fastlayer, "alone", FOREVER)
    fastlayer.run("exec", "-d", "alone", "sh", "-c", "sleep 0.2; echo > /left; exec sleep 300")
    deadline = time.monotonic() + 60
    while "A /left" not in fastlayer.text("diff", "alone").splitlines():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "sleep 300" in fastlayer.text("exec", "alone", "ps")
    missing = fastlayer.run("exec", "-d", "alone", "nosuch", check=False)
    assert missing.returncode == 127
    fastlayer.run("rm", "-f", "alone")


def test_exec_on_a_terminal(fastlayer: Command) -> None:
    detached(fastlayer, "seen", FOREVER)
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        script = "tty; read line; echo got $line; exit 5"
        argv = fastlayer.argv("exec", "-it", "seen", "sh", "-c", script)
        os.execve(argv[0], argv, fastlayer.environ())
    shown = b""
    while b"/dev/pts/0\r\n" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"keys\n")
    while b"got keys\r\n" not in shown:
        shown += os.read(terminal, 4096)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 5
    os.close(terminal)
    fastlayer.run("rm", "-f", "seen")


def test_exec_runs_beside(fastlayer: Command) -> None:
    detached(fastlayer, "beside", FOREVER, "-e", "A=1", "--hostname", "inside", "-w", "/home")
    script = "echo $A $B; pwd; hostname; id -u; cat; ps | grep -q '[e]cho up' && echo seen; exit 7"
    arguments = ("exec", "-i", "-e", "B=2", "beside", "sh", "-c", script)
    done = fastlayer.run(*arguments, check=False, stdin=b"passed on\n")
    assert done.stdout.decode().splitlines() == ["1 2", "/home", "inside", "0", "passed on", "seen"]
    assert done.returncode == 7
    assert fastlayer.text("exec", "-u", "app", "beside", "id", "-un") == "app"
    fastlayer.run("exec", "beside", "touch", "/made")
    assert "A /made" in fastlayer.text("diff", "beside").splitlines()
    missing = fastlayer.run("exec", "beside", "nosuch", check=False)
    assert missing.returncode == 127
    calls = fastlayer.text(
        "exec", "beside", "grep", "-E", "^(CapEff|Seccomp):", "/proc/self/status"
    )
    assert calls == "CapEff:\t00000000a80425fb\nSeccomp:\t2"
    fastlayer.run("rm", "-f", "beside")
    gone = fastlayer.run("exec", "beside", "true", check=False)
    assert gone.returncode
