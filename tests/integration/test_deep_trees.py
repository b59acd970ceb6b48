"""Trees that are deeper than a process may have files open."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import need_program
from tests.support.ways import without

if TYPE_CHECKING:
    from tests.integration.building import Workshop

LEVELS = 400
DESCRIPTORS = "256:4096"
"""Ours, and what the programs of a step may raise theirs to."""

TEXT = r"""FROM busybox
COPY deep /deep
RUN ulimit -n 4096; \
    find /deep -name bottom -exec sh -c 'echo more >> "$1"; mkdir "${1%/*}/new"' - {} \;
RUN ulimit -n 4096; rmdir "$(find /deep -name new)" && cp -a /deep/d /copy
COPY --from=busybox /bin/busybox /deep/d/d/
RUN ulimit -n 4096; rm -r /deep/d/d/d
"""


def make_deep(top: Path) -> None:
    """A directory with as many below one another, and a file in the last."""
    top.mkdir()
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.chdir(top)
        for _ in range(LEVELS):
            os.mkdir("d")
            os.chdir("d")
        Path("bottom").write_bytes(b"b" * 5000)
    finally:
        os.fchdir(before)
        os.close(before)


@without("runc", "plain")
@pytest.mark.usefixtures("way")
def test_deep_trees_are_built_checked_out_written_and_removed(
    workshop: Workshop, tmp_path: Path
) -> None:
    make_deep(workshop.context / "deep")
    workshop.write({"Dockerfile": TEXT})
    command = workshop.command()
    limit = [need_program("prlimit"), f"--nofile={DESCRIPTORS}"]

    def run(*arguments: str) -> None:
        words = [*limit, *command.argv(*arguments)]
        done = subprocess.run(words, capture_output=True, env=command.environ(), check=False)
        assert done.returncode == 0, done.stderr

    output = tmp_path / "output"
    run("build", "-q", "-t", "deep", str(workshop.context))
    run("build", "-q", "-o", f"type=local,dest={output}", str(workshop.context))
    bottom = b"/".join([b"copy", *[b"d"] * (LEVELS - 1), b"bottom"])
    found = command.text("cat", f"deep:/{bottom.decode()}")
    assert found.endswith("bmore")
    assert (output / bottom.decode()).stat().st_size == 5005
    assert sorted(os.listdir(output / "deep/d/d")) == ["busybox"]
    run("rmi", "deep")
    run("builder", "prune", "-f")
    assert list((workshop.store.root / "staging").iterdir()) == []
