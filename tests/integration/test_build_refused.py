"""Builds where the kernel refuses namespaces: a changed root directory is all that a RUN gets."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from fastlayer.errors import BuildError, RunFailedError

from tests.support import ways
from tests.support.host_step import run_in_step
from tests.support.requirements import need_program, need_root

if TYPE_CHECKING:
    from tests.integration.building import Workshop

TEXT = r"""FROM busybox
COPY notes /notes
RUN --mount=type=cache,target=/c echo kept > /c/kept; adduser -D -u 77 new; \
    rm -r /home; mkdir -p /home/app; chown app /home/app
RUN --mount=type=secret,id=key --mount=target=/src \
    cat /src/notes /run/secrets/key | wc -c > /sizes; \
    ln /sizes /linked; chmod 600 /notes; chown 77:7 /notes; echo x > /dev/null; mkdir -p /proc /sys
USER app
RUN test -s /etc/hosts && echo found > ~/hosts; test -e /c/kept && echo bad > ~/bad; id -un > ~/name
"""


@pytest.fixture
def chroot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver, asked for on a machine that would allow more."""
    ways.choose("chroot", monkeypatch)


def test_a_build_in_a_container_gives_the_same_image(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container refuses mounts and namespaces, as docker's do; nothing is asked for by name."""
    need_root()
    need_program("runc")
    for name in ("FASTLAYER_RUNTIME", "FASTLAYER_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    workshop.write({"notes": "one\n", "Dockerfile": TEXT, "secret": "topsecret"})
    secret = f"id=key,src={workshop.context / 'secret'}"
    arguments = ["build", "-q", "--no-cache", "--secret", secret, "-t", "built"]
    arguments += ["--source-date-epoch", "1600000000", str(workshop.context)]
    first = workshop.command().text(*arguments)
    command = workshop.command()
    outer = workshop.context.parent / "outer"
    done = run_in_step(outer, command.argv(*arguments), command.environ())
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == first
    assert workshop.command().text("cat", "built:/sizes") == "13"
    assert list((workshop.store.root / "staging").iterdir()) == []


@pytest.mark.usefixtures("chroot")
def test_what_only_a_mount_or_a_namespace_can_do_is_refused(workshop: Workshop) -> None:
    for flag, reason in {
        "--network=none": "network none needs a network namespace",
        "--mount=type=cache,target=/c,ro": "/c: a read-only cache needs mounts",
        "--mount=type=cache,target=/c,id=a --mount=type=cache,target=/d,id=a": "at two places",
    }.items():
        with pytest.raises(BuildError, match=reason):
            workshop.build(f"FROM busybox\nRUN {flag} true\n")
    assert list((workshop.store.root / "staging").iterdir()) == []


@pytest.mark.usefixtures("chroot")
def test_what_a_step_leaves_behind_is_ended(workshop: Workshop) -> None:
    begin = time.monotonic()
    result = workshop.build(
        "FROM busybox\n"
        "RUN (sleep 1001 & sleep 1001 & exec sleep 1001) & setsid sleep 1001 & echo done > /out\n"
    )
    assert workshop.read(result, "/out") == b"done\n"
    assert time.monotonic() - begin < 60
    found = subprocess.run(["pgrep", "-f", "sleep 1001"], capture_output=True, check=False)
    assert found.stdout == b""


@pytest.mark.usefixtures("chroot")
def test_a_secret_does_not_stay_after_a_failure(workshop: Workshop) -> None:
    text = "FROM busybox\nRUN --mount=type=secret,id=key cp /run/secrets/key /tmp; exit 3\n"
    with pytest.raises(RunFailedError, match="exit code 3") as raised:
        workshop.build(text, secrets={"key": b"topsecret"})
    assert raised.value.failed_id
    assert list((workshop.store.root / "staging").iterdir()) == []
    with pytest.raises(BuildError, match="has moved what something was mounted on"):
        workshop.build(
            "FROM busybox\nRUN --mount=type=secret,id=key mv /run /elsewhere\n",
            secrets={"key": b"topsecret"},
        )
    assert list((workshop.store.root / "staging").iterdir()) == []


@pytest.mark.usefixtures("chroot")
def test_a_step_sees_devices_and_no_processes(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\nRUN head -c 3 /dev/zero | wc -c > /seen; ls /proc /sys >> /seen;"
        " ls -d /dev/n* /dev/shm >> /seen; stat -c %a /dev/shm >> /seen\n"
    )
    seen = workshop.read(result, "/seen").decode().split()
    assert seen == ["3", "/proc:", "/sys:", "fs", "/dev/null", "/dev/shm", "1777"]
