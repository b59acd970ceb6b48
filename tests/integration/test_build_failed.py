"""What a failed RUN leaves is kept for a look; and why each step ran is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from fastlayer.builder.cache_choice import CacheFilter
from fastlayer.builder.storage import Storage
from fastlayer.errors import RunFailedError
from fastlayer.image.failed_steps import KEPT, FailedSteps

from tests.support.busybox_store import remove_containers
from tests.support.requirements import need_program, need_root

if TYPE_CHECKING:
    from tests.integration.building import Workshop

FAILING = (
    "FROM busybox\nENV A=1\nWORKDIR /work\nUSER app\nRUN true\n"
    "RUN echo left > /tmp/left && exit 7\n"
)


@pytest.fixture(autouse=True)
def _needs() -> None:
    need_root()
    need_program("runc")


def fail(workshop: Workshop, dockerfile: str) -> RunFailedError:
    with pytest.raises(RunFailedError) as raised:
        workshop.build(dockerfile)
    return raised.value


def test_a_failed_step_can_be_looked_at(workshop: Workshop) -> None:
    error = fail(workshop, FAILING)
    assert error.hint == f"to look at what it left: fastlayer run -it {error.failed_id} sh"
    command = workshop.command()
    said = command.text(
        *("run", "--rm", error.failed_id, "sh", "-c", "cat /tmp/left; pwd; id -un; echo $A")
    )
    assert said.split() == ["left", "/work", "app", "1"]
    # Without a command it is the step's shell.
    done = command.run("run", "--rm", "-i", error.failed_id, stdin=b"cat /tmp/left\n")
    assert done.stdout == b"left\n"
    assert "<none>" not in command.text("images", "-a")
    # The next build is as if there had been no look.
    assert fail(workshop, FAILING).failed_id


def test_a_container_of_it_outlives_it(workshop: Workshop) -> None:
    error = fail(workshop, FAILING)
    command = workshop.command()
    try:
        name = command.text("run", "-d", error.failed_id, "sleep", "1000")
        assert command.text("builder", "prune", "-f")
        assert command.text("exec", name, "cat", "/tmp/left") == "left"
        done = command.run("run", error.failed_id, check=False)
        assert done.returncode == 125
        assert f"no such image: {error.failed_id}" in done.stderr.decode()
    finally:
        remove_containers(command)


def test_collection_keeps_it_until_the_cache_goes(workshop: Workshop) -> None:
    workshop.build("FROM busybox\nRUN true\n")
    error = fail(workshop, FAILING)
    storage = Storage(workshop.store)
    storage.prune(cache=storage.choose(CacheFilter(keys=[storage.records()[0].key])))
    assert FailedSteps(workshop.store).find(error.failed_id) is not None
    storage.prune(cache=storage.choose())
    assert FailedSteps(workshop.store).find(error.failed_id) is None
    assert workshop.store.fsck() == []


def test_only_the_newest_are_kept(workshop: Workshop) -> None:
    ids = [fail(workshop, f"FROM busybox\nRUN exit {n + 1}\n").failed_id for n in range(KEPT + 2)]
    found = [FailedSteps(workshop.store).find(one) is not None for one in ids]
    assert found == [False, False, *[True] * KEPT]


def test_the_command_opens_a_shell(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": FAILING})
    done = workshop.command().run(
        "build", "--debug-shell", workshop.context, stdin=b"cat /tmp/left; id -un\n", check=False
    )
    assert (done.returncode, done.stdout) == (7, b"left\napp\n")
    assert re.search(
        r"hint: to look at what it left: fastlayer run -it [0-9a-f]{12} sh", (done.stderr.decode())
    )


def test_why_each_step_ran(workshop: Workshop) -> None:
    workshop.write({"a": "1", "Dockerfile": "FROM busybox\nCOPY a /a\nRUN cat /a\n"})

    def reasons(*flags: str) -> list[str]:
        done = workshop.command().run("build", "--explain", *flags, workshop.context)
        lines = done.stderr.decode().splitlines()
        return [re.sub(r"20\d\d-\S+Z", "TIME", line) for line in lines if line.startswith("line")]

    new = "ran, for it was never built here before"
    assert reasons() == [
        "line 1: FROM docker.io/library/busybox:latest: cached",
        f"line 2: COPY a /a: {new}",
        f"line 3: RUN cat /a: {new}",
    ]
    assert [line.rpartition(": ")[2] for line in reasons()] == ["cached"] * 3
    workshop.write({"a": "2"})
    assert reasons()[1:] == [
        "line 2: COPY a /a: ran, for the content of its inputs changed since it was built at TIME"
        ": a (content)",
        "line 3: RUN cat /a: ran, for what it starts from changed since it was built at TIME",
    ]
    assert reasons("--no-cache")[2] == "line 3: RUN cat /a: ran, for it was asked for"
