"""Containers become images, and what was an image stays as it was."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastlayer.container.freezer import frozen
from fastlayer.errors import ContainerError

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command


@pytest.fixture
def fastlayer(tmp_path: Path) -> Iterator[Command]:
    command = busybox_store(tmp_path)
    yield command
    remove_containers(command)


def saved(fastlayer: Command, image: str) -> str:
    return hashlib.sha256(fastlayer.run("save", image).stdout).hexdigest()


def inspect(fastlayer: Command, image: str) -> dict[str, object]:
    document = json.loads(fastlayer.text("inspect", f"image:{image}"))[0]
    assert isinstance(document, dict)
    return document


def sh(fastlayer: Command, image: str, script: str) -> str:
    return fastlayer.text("run", "--rm", image, "sh", "-c", script)


def test_a_commit_has_the_changes_and_the_settings(fastlayer: Command) -> None:
    fastlayer.run(
        *("run", "--name", "box", "-e", "A=1", "-w", "/srv", "-u", "root", "-l", "x=y"),
        *("base", "sh", "-c", "echo new > /new; rm /etc/group"),
    )
    identifier = fastlayer.text(
        *("commit", "-m", "a message", "-a", "A. Author <a@example.org>"),
        *("-c", 'CMD ["cat", "/new"]', "-c", "ENV B=2", "-c", "EXPOSE 80", "box", "user/made:1"),
    )
    assert identifier.startswith("sha256:")
    document = inspect(fastlayer, "user/made:1")
    assert document["Id"] == identifier
    assert document["Author"] == "A. Author <a@example.org>"
    assert document["Comment"] == "a message"
    config = document["Config"]
    assert isinstance(config, dict)
    assert config["Cmd"] == ["cat", "/new"]
    assert {"A=1", "B=2"} <= set(config["Env"])
    assert config["WorkingDir"] == "/srv"
    assert config["Labels"] == {"x": "y"}
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert fastlayer.text("run", "--rm", "user/made:1") == "new"
    assert sh(fastlayer, "user/made:1", "ls /etc") == "hostname\nhosts\npasswd\nresolv.conf"
    newest = fastlayer.text(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "user/made:1"
    ).splitlines()[0]
    assert newest == "sh -c echo new > /new; rm /etc/group|a message"
    changes = fastlayer.text("diff", "base", "user/made:1").splitlines()
    assert changes == ["C /etc", "D /etc/group", "A /new", "A /srv"]


def test_the_container_goes_on_and_the_images_stay(fastlayer: Command) -> None:
    base = saved(fastlayer, "base")
    script = "cat /page 2>/dev/null; echo line >> /page; rm -f /etc/group"
    fastlayer.run("run", "--name", "box", "base", "sh", "-c", script)
    fastlayer.run("commit", "box", "one")
    first = saved(fastlayer, "one")
    assert fastlayer.text("start", "-a", "box") == "line"
    assert fastlayer.text("start", "-a", "box") == "line\nline"
    fastlayer.run("commit", "box", "two")
    assert saved(fastlayer, "base") == base
    assert saved(fastlayer, "one") == first
    assert sh(fastlayer, "one", "cat /page") == "line"
    assert sh(fastlayer, "two", "cat /page; ls /etc/group || true") == "line\nline\nline"
    assert "A /page" in fastlayer.text("diff", "box").splitlines()
    assert "D /etc/group" in fastlayer.text("diff", "box").splitlines()
    fastlayer.run("fsck")
    fastlayer.run("rm", "box")
    assert sh(fastlayer, "one", "cat /page") == "line"


@pytest.mark.parametrize("driver", ["runc", "builtin"])
def test_a_running_container_is_paused_or_not(
    fastlayer: Command, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLAYER_RUNTIME", driver)
    script = "echo up > /up; while :; do sleep 0.05; done"
    fastlayer.run("run", "-d", "--name", "box", "base", "sh", "-c", script)
    deadline = time.monotonic() + 10
    while "/up" not in fastlayer.text("diff", "box") and time.monotonic() < deadline:
        time.sleep(0.05)
    fastlayer.run("commit", "box", "paused")
    fastlayer.run("commit", "--no-pause", "box", "unpaused")
    fastlayer.run("commit", "-p", "box", "again")
    assert fastlayer.text("ps", "-q", "-f", "name=box")
    for image in ("paused", "unpaused", "again"):
        assert sh(fastlayer, image, "cat /up") == "up"
    both = fastlayer.run("commit", "-p", "--no-pause", "box", "never", check=False)
    assert both.returncode == 125
    fastlayer.run("rm", "-f", "box")


def test_all_processes_of_our_sandbox_stop_and_go_on(
    fastlayer: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLAYER_RUNTIME", "builtin")
    script = "kill -STOP $$ & while :; do sleep 0.01; done & while :; do :; done"
    fastlayer.run("run", "-d", "--name", "box", "base", "sh", "-c", script)
    first = int(fastlayer.text("inspect", "-f", "{{.State.Pid}}", "box"))
    with frozen(first):
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        states = [Path(f"/proc/{process}/stat").read_text() for process in (first, *children)]
        assert {text.rpartition(") ")[2][0] for text in states} <= {"T", "Z"}
    deadline = time.monotonic() + 60
    while Path(f"/proc/{first}/stat").read_text().rpartition(") ")[2][0] == "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(ContainerError, match="has just ended"), frozen(os.getpid()):
        pass
    fastlayer.run("rm", "-f", "box")


def test_no_change_makes_no_layer(fastlayer: Command) -> None:
    fastlayer.run("run", "--name", "box", "base", "true")
    fastlayer.run("commit", "-c", "ENV A=1", "box", "same")
    layers = [inspect(fastlayer, name)["RootFS"] for name in ("base", "same")]
    assert layers[0] == layers[1]
    assert fastlayer.text("start", "box") == "box"


def test_volumes_and_binds_are_in_no_image(fastlayer: Command, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    script = "echo x > /bind/x; echo y > /own/y; echo z > /z"
    fastlayer.run(
        "run", "--name", "box", "-v", f"{data}:/bind", "-v", "/own", "base", "sh", "-c", script
    )
    fastlayer.run("commit", "box", "made")
    assert fastlayer.text("diff", "base", "made") == "A /z"
    assert (data / "x").read_text() == "x\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-c", "RUN true", "box", "x"), "is not a valid change command"),
        (("-c", "ENV", "box", "x"), ""),
        (("box", "Upper/Case"), ""),
        (("nosuch", "x"), "no such container: nosuch"),
    ],
)
def test_what_is_wrong_is_said_before_anything_happens(
    fastlayer: Command, options: tuple[str, ...], text: str
) -> None:
    fastlayer.run("run", "--name", "box", "base", "touch", "/kept")
    done = fastlayer.run("commit", *options, check=False)
    assert done.returncode
    assert text in done.stderr.decode()
    assert fastlayer.text("diff", "box") == "A /kept"
    assert fastlayer.text("images", "-q").count("\n") == 0


def test_by_hand_on_a_terminal(fastlayer: Command) -> None:
    process, terminal = pty.fork()
    if process == 0:
        argv = fastlayer.argv("run", "-it", "--name", "box", "base")
        os.execve(argv[0], argv, fastlayer.environ())
    for line in (b"tty\n", b"stty size\n", b"echo typed > /typed\n", b"exit 3\n"):
        time.sleep(0.7)
        os.write(terminal, line)
    shown = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        shown += data
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 3
    assert b"/dev/pts/0" in shown
    fastlayer.run("commit", "-c", 'CMD ["cat", "/typed"]', "box", "typed")
    assert fastlayer.text("run", "--rm", "typed") == "typed"


@pytest.mark.parametrize(
    "moment",
    ["Store.diff_upper 1", "Store.sync 1", "Container.write_state 1", "adoption._exchange 1"],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_that_was_killed_loses_nothing(fastlayer: Command, moment: str, when: str) -> None:
    """The process dies right before, or right after, one of the steps of taking the upper."""
    script = "cat /kept /dir/f; echo a >> /kept; rm -rf /dir /etc; mkdir /dir; echo b > /dir/f"
    fastlayer.run("run", "--name", "box", "base", "sh", "-c", script)
    target, number = moment.split()
    kill = f"""
import os, sys
from fastlayer.cli.main import main
from fastlayer.container import adoption
from fastlayer.container.registry import Container
from fastlayer.store import Store
name = {target.split(".")[1]!r}
original = getattr({target.split(".")[0]}, name)
calls = 0
def dying(*arguments, **options):
    global calls
    calls += 1
    if calls == {number} and {when == "before"}:
        os.kill(os.getpid(), 9)
    result = original(*arguments, **options)
    if calls == {number}:
        os.kill(os.getpid(), 9)
    return result
setattr({target.split(".")[0]}, name, dying)
main(["--root", {str(fastlayer.root)!r}, "commit", "box", "never"])
"""
    done = subprocess.run([sys.executable, "-c", kill], check=False, env=fastlayer.environ())
    assert done.returncode == -9
    assert fastlayer.run("inspect", "image:never", check=False).returncode
    assert "A /kept" in fastlayer.text("diff", "box").splitlines()
    assert fastlayer.text("start", "-a", "box") == "a\nb"
    fastlayer.run("commit", "box", "made")
    assert sh(fastlayer, "made", "cat /kept /dir/f; ls -d /etc/passwd || true") == "a\na\nb"
    fastlayer.run("fsck")


def test_a_commit_shares_no_file_with_its_container(fastlayer: Command) -> None:
    """A commit that fails half-way leaves the upper to the container, which writes to it."""
    fastlayer.run("run", "--name", "box", "base", "sh", "-c", "cp /bin/busybox /mine")
    die = f"""
from fastlayer.cli.main import main
from fastlayer.store import Store
def failing(self):
    raise KeyboardInterrupt
Store.sync = failing
raise SystemExit(main(["--root", {str(fastlayer.root)!r}, "commit", "box", "never"]))
"""
    done = subprocess.run([sys.executable, "-c", die], check=False, env=fastlayer.environ())
    assert done.returncode == 130
    (file,) = fastlayer.root.glob("containers/*/upper/mine")
    assert file.stat().st_nlink == 1
    with file.open("r+b") as writable:
        writable.write(b"overwritten")
    fastlayer.run("fsck")
