"""Checkouts by each rung of the ladder, seen by the programs that run on them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.file_system import SMALLEST_XFS, loop_file_system
from tests.support.requirements import need_program

CONTENT = b"some line of text\n" * 5000
"""Long enough for a stub."""
SUM = hashlib.sha256(CONTENT * 5).hexdigest()

FILES = "/one/a /one/b /one/c /two/a /two/d"
DOCKERFILE = f"""\
FROM base
COPY one /one
COPY two /two
RUN tar cf - /one /two | tar tvf - | grep -c 'link to' > /links; \\
    cp -a /one /two /tmp && find /tmp -type f -links +1 | wc -l >> /links; rm -r /tmp/*; \\
    cat {FILES} | sha256sum > /sum
"""


def write_context(folder: Path) -> Path:
    """Equal files in one directory and across two; one of them with another mode."""
    for name in FILES.split():
        path = folder / "context" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    (folder / "context/one/c").chmod(0o600)
    (folder / "context/Dockerfile").write_text(DOCKERFILE)
    return folder / "context"


@contextlib.contextmanager
def store_with(rung: str, folder: Path) -> Iterator[Command]:
    """The command with a store whose checkouts come by one rung, or else by copies."""
    with contextlib.ExitStack() as stack:
        place = folder
        if rung == "reflink":
            system = loop_file_system(folder / "loop", "xfs", SMALLEST_XFS)
            place = stack.enter_context(system).mount
        made = busybox_store(place)
        command = Command(made.root, {"FASTLAYER_CHECKOUT": f"{rung},copy"})
        stack.callback(remove_containers, command)
        yield command


def checked_out(command: Command) -> list[Path]:
    """The files of the context in all checkouts."""
    found = (command.root / "checkouts").rglob("fs/*/*")
    return [path for path in found if path.parts[-2] in ("one", "two")]


def is_stub(path: Path) -> bool:
    return any(name.endswith("overlay.metacopy") for name in os.listxattr(path))


def shares_blocks(path: Path) -> bool:
    need_program("filefrag")
    done = subprocess.run(["filefrag", "-v", path], capture_output=True, text=True, check=True)
    return "shared" in done.stdout


@pytest.mark.parametrize("rung", ["hardlink", "reflink", "stub", "copy"])
def test_no_hard_links_appear(rung: str, tmp_path: Path) -> None:
    with store_with(rung, tmp_path) as command:
        command.run("build", "-t", "made", write_context(tmp_path))
        assert command.text("cat", "made:/links").split() == ["0", "0"]
        assert command.text("cat", "made:/sum").split()[0] == SUM
        files = checked_out(command)
        assert {path.name for path in files} == {"a", "b", "c", "d"}
        found = {
            "hardlink": any(path.stat().st_nlink > 1 for path in files),
            "reflink": any(shares_blocks(path) for path in files),
            "stub": any(is_stub(path) for path in files),
        }
        assert found == {name: name == rung for name in found}
        script = f"tar cf - /one /two | tar tvf - | grep -c 'link to'; cat {FILES} | sha256sum"
        shown = command.text("run", "--rm", "made", "sh", "-c", script)
        assert shown.split() == ["0", SUM, "-"]


def test_nothing_but_mounts_reads_checkouts(tmp_path: Path) -> None:
    """A stub is zeros outside of its mount: what reads one by itself would give those."""
    with store_with("stub", tmp_path) as command:
        context = write_context(tmp_path)
        command.run("build", "-t", "made", context)
        command.run("run", "--name", "box", "made", "chmod", "711", "/one/a", "/two/d")
        command.run("commit", "box", "committed")
        dockerfile = """\
            FROM committed
            COPY --from=made /one/b /from-image
            COPY --from=committed /two/d /from-commit
            RUN --mount=type=bind,from=made,source=/one,target=/bound cat /bound/c > /from-bind
            RUN --mount=type=bind,source=one/a,target=/file cat /file > /from-file
            RUN --mount=type=bind,from=made,source=/one,target=/bound,rw cat /bound/b > /from-rw
        """
        (context / "Dockerfile").write_text(dockerfile)
        command.run("build", "-t", "copied", context)
        names = ("image", "commit", "bind", "file", "rw")
        for place in (*(f"/from-{name}" for name in names), "/one/a", "/two/d"):
            assert command.run("cat", f"copied:{place}").stdout == CONTENT, place
        assert any(is_stub(path) for path in checked_out(command))
        command.run("cp", "box:/one/a", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == CONTENT
        command.run("run", "--rm", "copied", "cmp", "/from-bind", "/from-rw")
        assert command.text("fsck") == "no problems found"


def test_a_running_container_keeps_its_stubs(tmp_path: Path) -> None:
    with store_with("stub", tmp_path) as command:
        command.run("build", "-t", "made", write_context(tmp_path))
        command.run("run", "-d", "--name", "box", "made", "sleep", "1000")
        command.run("system", "prune", "-a", "-f")
        script = f"cat {FILES} | sha256sum; echo more >> /one/b; wc -c < /one/b"
        shown = command.text("exec", "box", "sh", "-c", script).split()
        assert shown == [SUM, "-", str(len(CONTENT) + 5)]
        command.run("rm", "-f", "box")
        command.run("system", "prune", "-a", "-f")
        assert checked_out(command) == []


@pytest.mark.parametrize("rung", ["hardlink", "stub"])
def test_long_chains_in_odd_places_are_mounted(rung: str, tmp_path: Path) -> None:
    """Equal files in 120 layers: beside each of them may lie what keeps their inodes apart."""
    folder = tmp_path / "a:b,c\\d"
    folder.mkdir()
    with store_with(rung, folder) as command:
        context = write_context(tmp_path)
        copies = [f"COPY one/a /many/{number}" for number in range(120)]
        check = (
            "RUN ls /many | wc -l > /count; tar cf - /many | tar tvf - | grep -c 'link to' > /links"
        )
        lines = ["FROM base", *copies, f"{check}; cat /many/* | sha256sum > /sum"]
        (context / "Dockerfile").write_text("\n".join(lines))
        command.run("build", "-t", "made", context)
        assert command.text("cat", "made:/count") == "120"
        assert command.text("cat", "made:/links") == "0"
        expected = hashlib.sha256(CONTENT * 120).hexdigest()
        assert command.text("cat", "made:/sum").split()[0] == expected
        assert command.text("run", "--rm", "made", "cat", "/count") == "120"
