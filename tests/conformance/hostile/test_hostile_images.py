"""Images whose folders are links to the host, in containers and in steps of builds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.base import have_busybox, rootfs_tar
from tests.support.busybox_store import remove_containers
from tests.support.canary import Canary
from tests.support.command import Command
from tests.support.requirements import missing, need_program
from tests.support.tar_blocks import END, symlink

PLACES = ("etc", "dev", "proc", "sys", "tmp", "root", "home")
"""Where a container gets files and mounts from us."""
FILES = ("etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/null", "dev/shm", "etc/passwd")


@pytest.fixture
def images(command: Command, canary: Canary) -> Iterator[Command]:
    """A store with one image for each kind of link, and one without."""
    need_program("runc")
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    outside = os.fsencode(canary.path)
    climbing = b"../" * 24 + outside[1:]
    base = rootfs_tar()[: -len(END)]
    while base.endswith(bytes(512)):
        base = base[:-512]
    for name, target in (("absolute", outside), ("climbing", climbing)):
        folders = b"".join(symlink(place.encode(), target) for place in PLACES)
        only = b"".join(symlink(place.encode(), target + b"/secret") for place in FILES)
        out = symlink(b"out", target)
        command.run("import", "-", f"{name}-folders", stdin=base + folders + out + END)
        command.run("import", "-", f"{name}-files", stdin=base + only + out + END)
    command.run("import", "-", "plain", stdin=base + END)
    yield command
    remove_containers(command)


IMAGES = [
    "absolute-folders",
    pytest.param("absolute-files", marks=pytest.mark.long),
    pytest.param("climbing-folders", marks=pytest.mark.long),
    "climbing-files",
]
SCRIPT = (
    "echo written > /etc/resolv.conf; echo written > /etc/hosts; echo written > /tmp/x; "
    "echo written > /out/secret; chmod -R 777 /out/ /etc/ /tmp/; rm -rf /out/shared; "
    "cat /out/secret /etc/passwd; ls /out/ /dev/; true"
)


@pytest.mark.parametrize("image", IMAGES)
def test_what_a_container_gets_from_us_stays_in_it(
    image: str, images: Command, canary: Canary, tmp_path: Path
) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "bound" / "file").write_text("bound")
    bound = str(tmp_path / "bound")
    for words in (
        ["run", "--rm", image, "/bin/sh", "-c", SCRIPT],
        ["run", "--rm", "-w", "/out/work", image, "/bin/sh", "-c", SCRIPT],
        ["run", "--rm", "-v", f"{bound}:/out/mount", image, "/bin/sh", "-c", SCRIPT],
        ["run", "--rm", "-v", f"{bound}/file:/out/secret:ro", image, "/bin/sh", "-c", SCRIPT],
        ["run", "--rm", "--read-only", "-u", "app", image, "/bin/sh", "-c", SCRIPT],
    ):
        done = images.run(*words, check=False)
        assert b"the host's secret" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        canary.assert_untouched()
    assert (tmp_path / "bound" / "file").read_text() == "bound"


@pytest.mark.parametrize("image", IMAGES)
def test_what_a_step_gets_from_us_stays_in_it(
    image: str, images: Command, canary: Canary, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").write_text("copied")
    dockerfile = f"""\
FROM {image}
WORKDIR /out/work
COPY f /out/shared/
COPY f /out/secret
COPY f /tmp/
RUN --mount=type=cache,target=/out/cache --mount=type=tmpfs,target=/out/tmp \\
    --mount=type=bind,source=f,target=/out/list --mount=type=bind,target=/out/empty {SCRIPT}
"""
    done = images.run(
        "build", "-t", "made", "-f", "-", context, stdin=dockerfile.encode(), check=False
    )
    assert b"the host's secret" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    canary.assert_untouched()
    images.run("cp", "-a", "made:/.", tmp_path / "copied", check=False)
    canary.assert_untouched()


def test_a_container_that_plants_links_for_those_who_copy(
    images: Command, canary: Canary, tmp_path: Path
) -> None:
    script = (
        f"ln -s {canary.path} /planted; mkdir /d; ln -s {canary.path}/secret /d/secret; sleep 100"
    )
    images.run("run", "-d", "--name", "planter", "plain", "/bin/sh", "-c", script)
    for words in (
        ["cp", "planter:/planted/secret", str(tmp_path / "one")],
        ["cp", "-L", "planter:/d/secret", str(tmp_path / "two")],
        ["cp", "-L", "planter:/planted", str(tmp_path / "three")],
        ["exec", "planter", "cat", "/planted/secret"],
        ["exec", "-w", "/planted/w", "planter", "pwd"],
        ["commit", "planter", "committed"],
        ["cp", "committed:/.", str(tmp_path / "four")],
    ):
        done = images.run(*words, check=False)
        assert b"the host's secret" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        canary.assert_untouched()
    for place in (tmp_path / "one", tmp_path / "two"):
        assert not place.is_file() or place.read_bytes() != (canary.path / "secret").read_bytes()
