"""Steps of a build: what they change, and that nothing of ours is in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.base import have_busybox, write_rootfs_tar
from tests.support.requirements import REPOSITORY, missing, need_core, need_program, need_root

need_core()

from fastlayer.container.mounts import Mount  # noqa: E402
from fastlayer.container.spec import Ulimit  # noqa: E402
from fastlayer.container.step import StepRunner, StepSpec  # noqa: E402
from fastlayer.errors import ContainerError, Interrupted  # noqa: E402
from fastlayer.store import Store  # noqa: E402


@pytest.fixture(
    scope="module", params=["runc", "builtin", "builtin plain", "runc plain"], autouse=True
)
def step_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each driver, over an overlay and in a plain tree, chosen as a user chooses one."""
    driver, _, workspace = str(request.param).partition(" ")
    if driver != "builtin":
        need_program(driver)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTLAYER_RUNTIME", driver)
        patch.setenv("FASTLAYER_WORKSPACE", workspace or "overlay")
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    need_root()
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    return Store(tmp_path_factory.mktemp("step") / "store")


@pytest.fixture(scope="module")
def base(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    tar = write_rootfs_tar(tmp_path_factory.mktemp("tar") / "base.tar")
    with tar.open("rb") as file:
        return [store.import_layer(file.fileno()).diff_id]


@pytest.fixture
def runner(store: Store) -> Iterator[StepRunner]:
    with StepRunner(store) as steps:
        yield steps
    assert list((store.root / "staging").glob("steps-*")) == []


def run(
    store: Store, runner: StepRunner, base: list[str], script: str, **settings: object
) -> tuple[int, bytes, list[str]]:
    """Exit code, output, and paths of the layer that a script makes.

    The output is what came from stdout, then what came from stderr: a line of one may arrive in the
    middle of a line of the other.
    """
    streams: dict[int, bytearray] = defaultdict(bytearray)
    spec = StepSpec(("sh", "-c", script), **settings)  # type: ignore[arg-type]
    result = runner.run(base, spec, lambda stream, data: streams[stream].extend(data))
    output = b"".join(streams[number] for number in sorted(streams))
    layer = result.diff()
    runner.discard(result)
    entries = [
        f"{e.kind} {os.fsdecode(e.path)}" for e in store.layer_entries(layer.diff_id) if e.path
    ]
    return result.exit_code, output, entries


def test_a_step_that_changes_nothing_makes_an_empty_layer(
    store: Store, runner: StepRunner, base: list[str]
) -> None:
    mounts = (Mount("bind", "/deep/below/target", "/tmp"), Mount("tmpfs", "/run/x"))
    code, _, entries = run(store, runner, base, "cat /etc/hosts /etc/resolv.conf", mounts=mounts)
    assert (code, entries) == (0, [])


def test_a_layer_has_what_changed_and_nothing_of_ours(
    store: Store, runner: StepRunner, base: list[str]
) -> None:
    script = "echo x > /etc/new; rm /etc/group; mkdir -p /a/b; echo mine >> /etc/hosts"
    code, _, entries = run(store, runner, base, script)
    assert code == 0
    assert sorted(entries) == [
        "directory a",
        "directory a/b",
        "directory etc",
        "file etc/new",
        "whiteout etc/group",
    ]


def test_times_of_parents_stay(store: Store, runner: StepRunner, base: list[str]) -> None:
    _, output, _ = run(store, runner, base, "stat -c %Y /etc /home")
    assert output.split() == [b"1700000000", b"1700000000"]


def test_output_exit_code_and_environment(
    store: Store, runner: StepRunner, base: list[str]
) -> None:
    code, output, _ = run(
        store,
        runner,
        base,
        "echo $A $HOME; pwd; id -un; hostname; exit 5",
        env=("A=1",),
        cwd="/home/app",
        user="app",
        hostname="builder",
    )
    assert code == 5
    assert output == b"1 /home/app\n/home/app\napp\nbuilder\n"


def test_scratch_with_a_mounted_program(store: Store, runner: StepRunner) -> None:
    mounts = (Mount("bind", "/sh", "/bin/busybox", is_directory=False),)
    result = runner.run([], StepSpec(("/sh", "-c", "echo hi > /f"), mounts=mounts), _ignore)
    assert [e.path for e in store.layer_entries(result.diff().diff_id) if e.path] == [b"f"]
    runner.discard(result)


def test_no_network(store: Store, runner: StepRunner, base: list[str]) -> None:
    _, output, _ = run(store, runner, base, "ls /sys/class/net", network="none")
    assert output == b"lo\n"


def test_a_program_that_is_missing(runner: StepRunner, base: list[str]) -> None:
    with pytest.raises(ContainerError, match="not found") as caught:
        runner.run(base, StepSpec(("nosuch",)), _ignore)
    assert caught.value.exit_code == 127


def test_a_program_that_cannot_be_executed(runner: StepRunner, base: list[str]) -> None:
    with pytest.raises(ContainerError, match="permission denied") as caught:
        runner.run(base, StepSpec(("/etc/passwd",)), _ignore)
    assert caught.value.exit_code == 126


def test_what_docker_gives_and_takes(store: Store, runner: StepRunner, base: list[str]) -> None:
    """Capabilities, masked and read-only paths, devices, limits: the same with every driver."""
    script = """
        grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
        echo x > /proc/sys/kernel/hostname || echo refused
        wc -c < /proc/timer_list; ls /sys/firmware
        mknod /node b 254 0 && head -c1 /node || echo refused
        mknod /dev/node b 254 0 && head -c1 /dev/node || echo refused
        echo written > /dev/null; head -c2 /dev/zero | wc -c
        ls /dev | grep -v core; ulimit -n
        df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2
        umask
        unshare -m true || echo refused
    """
    limits = (Ulimit("nofile", 512, 1024),)
    _, output, _ = run(store, runner, base, script, ulimits=limits, shm_size=2 << 20)
    lines = [line for line in output.decode().splitlines() if ": " not in line]
    assert lines == [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
        *("refused", "0", "refused", "refused", "2"),
        *("fd", "full", "mqueue", "node", "null", "ptmx", "pts", "random", "shm"),
        *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
        *("512", "2048", "0022", "refused"),
    ]


def test_another_user_has_no_capabilities(
    store: Store, runner: StepRunner, base: list[str]
) -> None:
    script = "exec 2>&1; id; grep -E '^Cap[PEA]' /proc/self/status; touch /x || echo refused"
    _, output, entries = run(store, runner, base, script, user="app")
    assert output.decode().splitlines() == [
        "uid=1000(app) gid=1001(app) groups=10(wheel)",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "touch: /x: Permission denied",
        "refused",
    ]
    assert entries == []


def test_binds_are_read_only_where_asked(
    store: Store, runner: StepRunner, base: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("host")
    mounts = (
        Mount("bind", "/ro", str(tmp_path), read_only=True),
        Mount("bind", "/rw", str(tmp_path)),
        Mount("tmpfs", "/scratch", options=("size=1m", "mode=755")),
    )
    script = "exec 2>&1; echo x > /ro/file || echo refused; echo y > /rw/new; stat -c %a /scratch"
    code, output, entries = run(store, runner, base, script, mounts=mounts)
    assert (code, entries) == (0, [])
    assert output.decode().splitlines()[-2:] == ["refused", "755"]
    assert (tmp_path / "new").read_text() == "y\n"


def test_processes_left_behind_are_gone(store: Store, runner: StepRunner, base: list[str]) -> None:
    begin = time.monotonic()
    code, output, _ = run(store, runner, base, "sleep 1000 & echo started")
    assert (code, output) == (0, b"started\n")
    assert time.monotonic() - begin < 20


def test_steps_run_side_by_side(store: Store, runner: StepRunner, base: list[str]) -> None:
    outputs: dict[int, bytes] = {}

    def one(number: int) -> None:
        outputs[number] = run(store, runner, base, f"sleep 0.5; echo {number}")[1]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outputs == {number: b"%d\n" % number for number in range(4)}


def test_cancel_kills(store: Store, base: list[str]) -> None:
    raised: list[BaseException] = []
    with StepRunner(store) as steps:
        begun = threading.Event()

        def work() -> None:
            try:
                steps.run(
                    base,
                    StepSpec(("sh", "-c", "echo up; sleep 1000")),
                    lambda _stream, _data: begun.set(),
                )
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(20)
        steps.cancel()
        thread.join(20)
        assert not thread.is_alive()
    assert isinstance(raised[0], Interrupted)


BUILD = """
import sys
from fastlayer.store import Store
from fastlayer.container.step import StepRunner, StepSpec
with StepRunner(Store(sys.argv[1])) as steps:
    steps.run(sys.argv[2:], StepSpec(("sh", "-c", "echo up; sleep 1000")),
              lambda stream, data: print(data.decode(), end="", flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_nothing(
    store: Store, base: list[str], number: signal.Signals
) -> None:
    """Ctrl-C cleans up at once; after a kill the next build does."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(store.root), *base],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    (home,) = (store.root / "staging").glob("steps-*")
    process.send_signal(number)
    process.wait(30)
    if number == signal.SIGKILL:
        with StepRunner(store) as steps:
            steps.discard(steps.run(base, StepSpec(("true",)), _ignore))
    assert not home.exists()
    deadline = time.monotonic() + 5
    while _sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _sleepers() == []


def _ignore(_stream: int, _data: bytes) -> None:
    return


def _sleepers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == b"sleep\x001000\x00":
                    found.append(entry.name)
            except OSError:
                continue
    return found
