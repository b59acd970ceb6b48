"""What a process in a container sees, and what is left when it ends."""

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


@pytest.fixture(scope="module", params=["runc", "builtin"])
def fastlayer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Command]:
    """With each driver that runs containers, chosen as a user chooses one."""
    with container_store(str(request.param), tmp_path_factory.mktemp("run")) as command:
        yield command


def shell(fastlayer: Command, script: str, *options: str) -> str:
    """The output of a script in a new container."""
    return fastlayer.text("run", "--rm", *options, "base", "sh", "-c", script)


def test_streams_and_exit_code_are_passed_on(fastlayer: Command) -> None:
    done = fastlayer.run(
        "run", "--rm", "base", "sh", "-c", "echo out; echo err >&2; exit 42", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 42)


def test_stdin_is_passed_only_with_i(fastlayer: Command) -> None:
    big = os.urandom(3_000_000)
    assert fastlayer.run("run", "--rm", "-i", "base", "cat", stdin=big).stdout == big
    assert fastlayer.run("run", "--rm", "base", "cat", stdin=b"lost").stdout == b""


def test_a_terminal(fastlayer: Command) -> None:
    script = "tty; test -t 0 && test -t 2 && echo all; ls -l /dev/console | cut -c1; exit 4"
    options = ("--rm", "-t", "-u", "1000", "base", "sh", "-c")
    for written in (script, f"({script}) > /dev/tty"):
        done = fastlayer.run("run", *options, written, check=False)
        assert (done.stdout, done.returncode) == (b"/dev/pts/0\r\nall\r\nc\r\n", 4)
    failed = fastlayer.run("run", "--rm", "-t", "base", "nosuch", check=False)
    assert failed.returncode == 127


def test_keys_and_the_size_of_a_terminal(fastlayer: Command) -> None:
    process, terminal = pty.fork()
    if process == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        script = "trap 'exit 9' INT; stty size; while :; do sleep 0.05; done"
        argv = fastlayer.argv("run", "--rm", "-it", "base", "sh", "-c", script)
        os.execve(argv[0], argv, fastlayer.environ())
    shown = b""
    while b"\n" not in shown:
        shown += os.read(terminal, 4096)
    assert shown == b"33 111\r\n"
    os.write(terminal, b"\x03")  # the process's own terminal makes a signal of it
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    os.close(terminal)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["/no/such"], 127, "no such file"),
        (["nosuch"], 127, "not found"),
        (["/etc"], 126, ""),
        (["/etc/passwd"], 126, "permission denied"),
    ],
)
def test_a_command_that_cannot_start(
    fastlayer: Command, command: list[str], code: int, text: str
) -> None:
    done = fastlayer.run("run", "--rm", "base", *command, check=False)
    assert done.returncode == code
    assert text in done.stderr.decode()
    assert fastlayer.text("ps", "-aq") == ""


def test_a_missing_image_says_how_to_get_it(fastlayer: Command) -> None:
    done = fastlayer.run("run", "nosuch:1", check=False)
    assert done.returncode == 125
    assert b"skopeo copy docker://" in done.stderr


def test_a_wrong_option_is_125(fastlayer: Command) -> None:
    assert fastlayer.run("run", "--no-such-flag", "base", check=False).returncode == 125
    assert fastlayer.run("run", "--network", "mynet", "base", check=False).returncode == 125


def test_a_signal_that_ends_the_process(fastlayer: Command) -> None:
    script = "sh -c 'kill -9 $$'; echo $?"
    assert shell(fastlayer, script).splitlines()[-1] == "137"


def test_user_group_and_home(fastlayer: Command) -> None:
    assert shell(fastlayer, "id; echo $HOME", "-u", "app").splitlines() == [
        "uid=1000(app) gid=1001(app) groups=10(wheel)",
        "/home/app",
    ]
    assert shell(fastlayer, "id -u; id -g", "-u", "4000:4001") == "4000\n4001"
    done = fastlayer.run("run", "-u", "ghost", "base", "true", check=False)
    assert done.returncode == 125
    assert b"unable to find user ghost" in done.stderr


def test_environment(fastlayer: Command, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=1\n")
    output = fastlayer.run(
        "run", "--rm", "-e", "A=b c", "--env-file", tmp_path / "env", "-h", "box", "base", "env"
    ).stdout.decode()
    assert {"A=b c", "FROM_FILE=1", "HOSTNAME=box", "HOME=/root"} <= set(output.splitlines())


def test_working_directory_is_made(fastlayer: Command) -> None:
    assert shell(fastlayer, "pwd", "-w", "/new/place") == "/new/place"


def test_fourteen_capabilities_and_masked_paths(fastlayer: Command) -> None:
    assert shell(fastlayer, "grep CapEff /proc/self/status").split()[1] == "00000000a80425fb"
    assert shell(fastlayer, "grep CapBnd /proc/self/status", "--cap-drop", "ALL").split()[1] == (
        "0000000000000000"
    )
    assert shell(fastlayer, "cat /proc/kcore | wc -c") == "0"
    assert shell(fastlayer, "echo x > /proc/sys/kernel/domainname || echo refused") == "refused"
    assert shell(fastlayer, "mount -t tmpfs x /tmp 2>/dev/null || echo refused") == "refused"


def test_privileged_may_mount(fastlayer: Command) -> None:
    assert shell(fastlayer, "mount -t tmpfs x /tmp && echo yes", "--privileged") == "yes"


def test_networks(fastlayer: Command) -> None:
    assert shell(fastlayer, "ls /sys/class/net", "--network", "none") == "lo"
    assert shell(fastlayer, "ip link show lo | grep -c LOOPBACK,UP", "--network", "none") == "1"
    assert shell(fastlayer, "ls /sys/class/net").split() == sorted(os.listdir("/sys/class/net"))


def test_hosts_and_resolver(fastlayer: Command) -> None:
    output = shell(fastlayer, "cat /etc/hosts /etc/hostname", "--add-host", "db:10.1.2.3")
    assert "10.1.2.3\tdb" in output
    host = Path("/etc/resolv.conf")
    if host.exists():
        assert shell(fastlayer, "cat /etc/resolv.conf") == host.read_text().removesuffix("\n")


def test_published_ports_warn_as_docker_does(fastlayer: Command) -> None:
    done = fastlayer.run("run", "--rm", "-p", "8080:80", "base", "true")
    assert done.stderr == (b"WARNING: Published ports are discarded when using host network mode\n")


def test_volumes(fastlayer: Command, tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("hello")
    script = "cat /data/seen; echo more > /data/made"
    assert shell(fastlayer, script, "-v", f"{tmp_path}:/data") == "hello"
    assert (tmp_path / "made").read_text() == "more\n"
    output = shell(fastlayer, "touch /data/x || echo refused", "-v", f"{tmp_path}:/data:ro")
    assert output == "refused"
    single = shell(fastlayer, "cat /a/deep/file", "-v", f"{tmp_path}/seen:/a/deep/file")
    assert single == "hello"


def test_read_only_root(fastlayer: Command) -> None:
    assert shell(fastlayer, "touch /x || echo refused", "--read-only") == "refused"
    output = shell(fastlayer, "touch /tmp/x && echo ok", "--read-only", "--tmpfs", "/tmp")
    assert output == "ok"


def test_shm_size_and_limits(fastlayer: Command) -> None:
    assert shell(fastlayer, "df -k /dev/shm | tail -1", "--shm-size", "1m").split()[1] == "1024"
    assert shell(fastlayer, "ulimit -n", "--ulimit", "nofile=100:200") == "100"


def test_entrypoint(fastlayer: Command) -> None:
    assert fastlayer.text("run", "--rm", "--entrypoint", "echo", "base", "a", "b") == "a b"


def test_cidfile(fastlayer: Command, tmp_path: Path) -> None:
    file = tmp_path / "id"
    name = fastlayer.text("run", "-d", "--cidfile", str(file), "base", "sleep", "60")
    assert file.read_text() == name
    fastlayer.run("rm", "-f", name)
    again = fastlayer.run("run", "--rm", "--cidfile", file, "base", "true", check=False)
    assert again.returncode == 125


def test_interrupt_is_passed_on(fastlayer: Command) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        fastlayer.argv("run", "--rm", "base", "sh", "-c", script),
        env=fastlayer.environ(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == b"caught\n"
    assert process.wait(20) == 9


def test_a_killed_client_leaves_the_container_running(fastlayer: Command) -> None:
    process = subprocess.Popen(
        fastlayer.argv("run", "--name", "orphan", "base", "sh", "-c", "echo up; sleep 60"),
        env=fastlayer.environ(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    assert "orphan" in fastlayer.text("ps")
    fastlayer.run("rm", "-f", "orphan")


def test_nothing_is_mounted_or_running_afterwards(fastlayer: Command) -> None:
    shell(fastlayer, "true")
    store = str(fastlayer.root)
    assert store not in Path("/proc/self/mountinfo").read_text()
    deadline = time.monotonic() + 5
    while _processes(store) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _processes(store) == []


def test_inspect(fastlayer: Command) -> None:
    fastlayer.run("run", "--name", "seen", "-l", "a=b", "base", "sh", "-c", "exit 3", check=False)
    details = json.loads(fastlayer.text("inspect", "seen"))[0]
    assert details["Name"] == "/seen"
    assert details["State"]["ExitCode"] == 3
    assert details["Config"]["Labels"] == {"a": "b"}
    assert fastlayer.text("inspect", "-f", "{{.State.Status}}", "seen") == "exited"
    fastlayer.run("rm", "seen")


def _processes(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(command)
    return found
