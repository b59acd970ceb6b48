"""RUN: real processes over the tree so far."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from fastlayer.errors import RunFailedError
from fastlayer.image.failed_steps import FailedSteps
from fastlayer.progress.events import Event, StepOutput

from tests.support.ways import without

if TYPE_CHECKING:
    from fastlayer import BuildResult

    from tests.integration.building import Workshop

# A plain tree with nothing mounted is a plain tree, too.
pytestmark = without("plain")

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


@pytest.fixture(autouse=True)
def _runs(way: str) -> None:
    """Every way in which steps run."""


def run_cached(result: BuildResult) -> list[bool]:
    return [step.cached for step in result.steps if "RUN" in step.instruction]


def test_shell_and_exec_form(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\n"
        "ARG WHO=arg\n"
        "ENV GREETING=hello\n"
        'RUN echo "$GREETING $WHO" > /shell\n'
        'RUN ["/bin/sh", "-c", "echo $0 exec > /exec", "name"]\n'
        'SHELL ["/bin/sh", "-e", "-c"]\n'
        "RUN false || echo $- > /flags\n"
        "USER app\nWORKDIR /home/app\n"
        "RUN id -u > id && pwd >> id && echo $HOME >> id\n"
    )
    assert workshop.read(result, "/shell") == b"hello arg\n"
    assert workshop.read(result, "/exec") == b"name exec\n"
    assert b"e" in workshop.read(result, "/flags")
    assert workshop.read(result, "/home/app/id") == b"1000\n/home/app\n/home/app\n"
    assert workshop.stat(result, "/home/app/id")[2:] == (1000, 1001)


def test_that_there_is_no_isolation_is_told_once(workshop: Workshop, way: str) -> None:
    result = workshop.build("FROM busybox\nRUN true\nRUN :\n")
    told = [text for text in result.warnings if "RUN has no isolation" in text]
    assert [text.split(": ")[0] for text in told] == ["Dockerfile:2"] * (way == "chroot")


def test_only_what_it_changed_is_in_the_layer(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\nRUN cat /etc/resolv.conf /etc/hosts > /seen; rm /etc/group; ls /dev/pts\n"
    )
    assert workshop.last_layer(result) == {
        "seen": "file",
        "etc": "directory",
        "etc/group": "whiteout",
    } or workshop.last_layer(result) == {"": "directory", "seen": "file"} | {
        "etc": "directory",
        "etc/group": "whiteout",
    }
    assert not workshop.has(result, "/etc/resolv.conf")
    assert not workshop.has(result, "/etc/group")


def test_a_run_without_changes_is_the_empty_layer(workshop: Workshop) -> None:
    result = workshop.build("FROM busybox\nRUN true\n")
    assert result.chain[-1] == EMPTY_LAYER


def test_heredocs(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\n"
        "RUN <<EOF\nset -e\necho one > /one\nEOF\n"
        "RUN <<EOF\n#!/bin/cat\nwith a shebang\nEOF\n"
        "RUN cat <<A > /two && cat <<B >> /two\nfirst\nA\nsecond\nB\n"
    )
    assert workshop.read(result, "/one") == b"one\n"
    assert workshop.read(result, "/two") == b"first\nsecond\n"
    assert result.chain[-2] == EMPTY_LAYER


def test_a_failing_run_names_its_line_and_passes_its_code_on(workshop: Workshop) -> None:
    workshop.build("FROM busybox\nRUN true\n")
    before = set(workshop.store.layers())
    with pytest.raises(RunFailedError) as caught:
        workshop.build("FROM busybox\n\nRUN echo partial > /x; echo oops >&2; exit 7\n")
    assert str(caught.value) == (
        "Dockerfile:3: RUN echo partial > /x; echo oops >&2; exit 7: exit code 7"
    )
    assert (caught.value.exit_code, caught.value.line) == (7, 3)
    assert caught.value.output == b"oops\n"
    kept = FailedSteps(workshop.store).find(caught.value.failed_id)
    assert kept is not None
    assert set(workshop.store.layers()) - before == {kept.chain[-1]}
    assert list((workshop.store.root / "staging").iterdir()) == []


def test_a_program_that_is_missing(workshop: Workshop) -> None:
    with pytest.raises(RunFailedError, match=r"Dockerfile:2: RUN .*nosuch") as caught:
        workshop.build('FROM busybox\nRUN ["/nosuch"]\n')
    assert caught.value.exit_code == 127


def test_the_command_passes_the_code_on(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": "FROM busybox\nRUN echo out; echo err >&2; exit 9\n"})
    done = workshop.command().run("build", workshop.context, check=False)
    text = done.stderr.decode()
    assert done.returncode == 9
    assert done.stdout == b""
    assert "#3 [2/2] RUN echo out; echo err >&2; exit 9\n" in text
    error = "error: Dockerfile:2: RUN echo out; echo err >&2; exit 9: exit code 9\n"
    assert error + "hint: to look at what it left: fastlayer run -it " in text
    quiet = workshop.command().run("build", "-q", workshop.context, check=False)
    output, _, rest = quiet.stderr.decode().partition(error)
    # Two pipes keep no order between them.
    assert sorted(output.splitlines()) == ["err", "out"]
    assert rest.startswith("hint: ")


@without("chroot")
def test_visible_settings_are_in_the_key(workshop: Workshop) -> None:
    text = "FROM busybox\nARG A\nENV B=1\nRUN echo x > /x\n"
    workshop.build(text, build_args={"A": "1"})
    assert run_cached(workshop.build(text, build_args={"A": "1"})) == [True]
    assert run_cached(workshop.build(text, build_args={"A": "2"})) == [False]
    assert run_cached(workshop.build(text.replace("B=1", "B=2"), build_args={"A": "1"})) == [False]
    assert run_cached(workshop.build("FROM busybox\nUSER app\nRUN true\n")) == [False]
    assert run_cached(workshop.build("FROM busybox\nRUN true\n")) == [False]
    proxied = workshop.build("FROM busybox\nRUN true\n", build_args={"HTTP_PROXY": "p"})
    assert run_cached(proxied) == [True]
    assert run_cached(workshop.build("FROM busybox\nRUN true\n", network="host")) == [True]
    assert run_cached(workshop.build("FROM busybox\nRUN true\n", network="none")) == [False]


@without("chroot")
def test_hosts_and_limits(workshop: Workshop) -> None:
    text = (
        "FROM busybox\n"
        "RUN grep myhost /etc/hosts > /hosts; df -k /dev/shm | tail -n 1 > /shm;"
        " ulimit -n > /files\n"
    )
    workshop.write({"Dockerfile": text})
    command = workshop.command()
    arguments = ("--add-host", "myhost:1.2.3.4", "--shm-size", "1m", "--ulimit", "nofile=77:88")
    image = command.text("build", "-q", *arguments, workshop.context)
    assert command.text("cat", f"{image}:/hosts").split() == ["1.2.3.4", "myhost"]
    assert command.text("cat", f"{image}:/shm").split()[1] == "1024"
    assert command.text("cat", f"{image}:/files") == "77"
    assert run_cached(workshop.build(text)) == [False]


@without("chroot")  # which has the machine's
def test_the_name_of_the_host(workshop: Workshop) -> None:
    text = "FROM busybox\nRUN hostname > /name\n"
    assert workshop.read(workshop.build(text), "/name") == b"buildkitsandbox\n"
    given = {"BUILDKIT_SANDBOX_HOSTNAME": "other"}
    assert workshop.read(workshop.build(text, build_args=given), "/name") == b"other\n"


def test_early_cut_off(workshop: Workshop) -> None:
    """A RUN that ran again and gave the same tree leaves what follows cached, and the id too."""
    text = (
        "FROM busybox\nRUN --mount=type=bind,target=/src wc -l < /src/notes > /count\n"
        "RUN echo slow > /slow\n"
    )
    workshop.write({"notes": "one\ntwo\n"})
    first = workshop.build(text)
    workshop.write({"notes": "three\nfour\n"})
    second = workshop.build(text)
    assert run_cached(second) == [False, True]
    assert first.image_id == second.image_id
    workshop.write({"notes": "five\n"})
    assert run_cached(workshop.build(text)) == [False, False]


def test_touching_in_a_run_is_kept(workshop: Workshop) -> None:
    """Trees are compared without times; that must not lose the times a RUN sets."""
    result = workshop.build("FROM busybox\nRUN true\nRUN touch -d @1000000000 /etc/passwd\n")
    entry = workshop.store.stat(result.chain, b"etc/passwd")
    assert entry is not None
    assert entry.mtime[0] == 1_000_000_000


@without("chroot")
def test_stages_run_side_by_side(workshop: Workshop) -> None:
    """Each of two stages ends only when it has seen the other one's file in a shared cache."""
    mount = "--mount=type=cache,id=meeting,target=/c"
    wait = "touch /c/{own}; n=0; until [ -e /c/{other} ]; do sleep 0.1; n=$((n+1)); "
    wait += "[ $n -lt 300 ]; done"
    first, second = wait.format(own="a", other="b"), wait.format(own="b", other="a")
    text = (
        f"FROM busybox AS a\nRUN {mount} set -e; {first}; echo a > /a\n"
        f"FROM busybox AS b\nRUN {mount} set -e; {second}; echo b > /b\n"
        "FROM busybox AS unused\nRUN exit 1\n"
        "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    )
    result = workshop.build(text)
    assert workshop.read(result, "/a") + workshop.read(result, "/b") == b"a\nb\n"


def test_a_failure_stops_the_other_stages(workshop: Workshop) -> None:
    text = (
        "FROM busybox AS a\nRUN sleep 30\n"
        "FROM busybox AS b\nRUN sleep 0.3; exit 3\n"
        "FROM scratch\nCOPY --from=a /x /\nCOPY --from=b /x /\n"
    )
    began = time.monotonic()
    with pytest.raises(RunFailedError, match="exit code 3"):
        workshop.build(text)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("stages", [1, 2])
def test_ctrl_c_stops_cleanly(workshop: Workshop, stages: int) -> None:
    sleep = f"sleep {100_000 + os.getpid()}"  # nobody else's: they are looked for
    second = f"FROM busybox\nRUN {sleep}\nCOPY --from=a / /\n" if stages == 2 else ""
    workshop.write({"Dockerfile": f"FROM busybox AS a\nRUN echo begun; {sleep}\n{second}"})
    before = workshop.store.layers()
    command = workshop.command()
    process = subprocess.Popen(
        command.argv("build", "--progress=plain", workshop.context),
        env=command.environ(),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    seen = b""
    while b"begun" not in seen:
        seen += os.read(process.stderr.fileno(), 4096)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert rest.endswith(b"error: interrupted\n")
    assert workshop.store.layers() == before
    assert list((workshop.store.root / "staging").iterdir()) == []
    sleeping = subprocess.run(["pgrep", "-f", sleep], capture_output=True, check=False)
    assert sleeping.stdout == b""


class _Interrupting:
    """A renderer that raises Ctrl-C when a step has spoken, so that no wait is woken by it."""

    def event(self, event: Event) -> None:
        if isinstance(event, StepOutput) and b"begun" in event.data:
            threading.Timer(0.3, _thread.interrupt_main).start()

    def close(self) -> None:
        pass


@pytest.mark.parametrize("stages", [1, 2])
def test_ctrl_c_is_heard_by_whoever_waits_already(workshop: Workshop, stages: int) -> None:
    """A signal between the last look and the wait: builds went on until their steps ended."""
    second = "FROM busybox\nRUN sleep 62\nCOPY --from=a / /\n" if stages == 2 else ""
    before = workshop.store.layers()
    with pytest.raises(KeyboardInterrupt):
        workshop.build(
            f"FROM busybox AS a\nRUN echo begun; sleep 62\n{second}", progress=_Interrupting()
        )
    assert workshop.store.layers() == before, "a step was waited for"
