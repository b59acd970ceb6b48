"""Builds of an ordinary user, with a range of subordinate ids and with a single id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.support.base import have_busybox, write_rootfs_tar
from tests.support.requirements import missing, need_core
from tests.support.user_with_ids import OrdinaryUser, ordinary_user

need_core()


@pytest.fixture(scope="module", params=["ranges", "single"])
def user(request: pytest.FixtureRequest) -> Iterator[OrdinaryUser]:
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    with ordinary_user(ranges=request.param == "ranges") as made:
        (made.home / "context").mkdir()
        write_rootfs_tar(made.home / "context" / "base.tar").chmod(0o644)
        yield made
        # What other ids own is removed by the user's own command, too.
        done = made.fastlayer("builder", "prune", "--all", "--force")
        assert done.returncode == 0, done.stdout


@pytest.fixture
def single(request: pytest.FixtureRequest) -> bool:
    return "single" in request.node.callspec.params.values()


def build(user: OrdinaryUser, name: str, *lines: str) -> tuple[int, str]:
    """Build on the base; gives exit code and output."""
    path = user.home / "context" / f"Dockerfile.{name}"
    path.write_text("\n".join(("FROM scratch", "ADD base.tar /", *lines)) + "\n")
    arguments = ["build", "--progress=plain", "-f", str(path), "-t", name, str(path.parent)]
    done = user.fastlayer(*arguments)
    return done.returncode, done.stdout


def listing(user: OrdinaryUser, where: str) -> list[str]:
    """Mode, owner and name of what is in a directory of an image."""
    done = user.fastlayer("ls", "-l", where)
    assert done.returncode == 0, done.stdout
    fields = [line.split() for line in done.stdout.splitlines()]
    return [" ".join((*line[:3], line[-1])) for line in fields]


def test_copies_need_nothing(user: OrdinaryUser) -> None:
    (user.home / "context" / "file").write_text("hello")
    code, output = build(user, "copied", "COPY --chown=7:8 file /there/file")
    assert code == 0, output
    assert listing(user, "copied:/there") == ["-rw-r--r-- 7 8 file"]


def test_run_makes_layers(user: OrdinaryUser, single: bool) -> None:
    code, output = build(
        user,
        "run",
        "RUN id -u; echo new > /etc/new; rm /etc/group; rm -rf /home; mkdir /home; touch /home/x",
        "RUN ls /etc /home; test ! -e /etc/group; test ! -e /home/app",
    )
    assert code == 0, output
    missed = "RUN misses what an ordinary user cannot make of its base: 1 owners of files;"
    assert output.count(missed) == (1 if single else 0)
    assert listing(user, "run:/etc") == ["-rw-r--r-- 0 0 new", "-rw-r--r-- 0 0 passwd"]
    assert listing(user, "run:/home") == ["-rw-r--r-- 0 0 x"]


def test_owners_of_what_is_copied_up_stay(user: OrdinaryUser) -> None:
    code, output = build(user, "kept", "RUN chmod 750 /home/app; touch /home/app/made")
    assert code == 0, output
    assert listing(user, "kept:/home") == ["drwxr-x--- 1000 1001 app"]


def test_other_ids_exist_only_in_ranges(user: OrdinaryUser, single: bool) -> None:
    code, output = build(user, "given", "RUN touch /given; chown 5:6 /given")
    if single:
        assert code != 0
        assert "chown: /given: Invalid argument" in output
    else:
        assert code == 0, output
        assert "-rw-r--r-- 5 6 given" in listing(user, "given:/")


def test_another_user_needs_a_range(user: OrdinaryUser, single: bool) -> None:
    code, output = build(user, "user", "USER app", "RUN id; touch /home/app/mine")
    if single:
        assert code != 0
        assert "cannot become a member of groups [10]" in output
        assert "no range of subordinate ids" in output
    else:
        assert code == 0, output
        assert "uid=1000(app) gid=1001(app)" in output
        assert listing(user, "user:/home/app") == ["-rw-r--r-- 1000 1001 mine"]


def test_root_inside_has_no_machine(user: OrdinaryUser) -> None:
    code, output = build(
        user, "inside", "RUN --network=none ls /sys/class/net; mknod /disk b 254 0 || echo refused"
    )
    assert code == 0, output
    assert "refused" in output


def test_containers_run(user: OrdinaryUser) -> None:
    code, output = build(user, "base", "CMD true")
    assert code == 0, output

    def fastlayer(*arguments: str) -> str:
        done = user.fastlayer(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    assert fastlayer("run", "--rm", "base", "sh", "-c", "id -u; touch /x; echo $0") == "0\nsh"
    assert fastlayer("run", "--rm", "-t", "base", "sh", "-c", "tty; echo x > $(tty)") == (
        "/dev/pts/0\nx"
    )
    script = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done"
    fastlayer("run", "-d", "--name", "box", "base", "sh", "-c", f"echo kept > /kept; {script}")
    try:
        while fastlayer("logs", "box") != "up":
            pass
        refused = user.fastlayer("exec", "box", "true")
        assert "exec by another user than root needs a runtime" in refused.stdout
        refused = user.fastlayer("commit", "box", "made")
        assert "cannot be stopped by this user" in refused.stdout
        fastlayer("stop", "box")
        assert "Exited (4)" in fastlayer("ps", "-a")
        fastlayer("commit", "box", "made")
        assert fastlayer("run", "--rm", "made", "cat", "/kept") == "kept"
    finally:
        fastlayer("rm", "-f", "box")


def test_equal_files_are_stubs_where_the_kernel_follows_them(user: OrdinaryUser) -> None:
    content = "line\n" * 20_000
    (user.home / "context" / "big").write_text(content)
    code, output = build(
        user,
        "equal",
        "COPY big /one/a",
        "COPY big /one/b",
        "COPY --chmod=600 big /one/c",
        "RUN sha256sum /one/*; tar cf - /one | tar tvf - | grep 'link to'; chmod 640 /one/c",
        "RUN sha256sum /one/*",
    )
    assert code == 0, output
    sums = [line.split()[-2] for line in output.splitlines() if "  /one/" in line]
    assert "link to" not in output.replace("'link to'", "")
    assert sums == [hashlib.sha256(content.encode()).hexdigest()] * 6
    store = user.home / ".local/share/fastlayer"
    answer = (store / "cache/stubs-user").read_text().split()[-1]
    stubs = store.glob("checkouts/*/user/stubs-*/fs/one/*")
    assert [path.name for path in stubs] == (["c"] if answer == "yes" else [])
