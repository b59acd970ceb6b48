"""A store of the test's own with the small busybox base in it, named ``base``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.base import have_busybox, write_rootfs_tar
from tests.support.command import Command
from tests.support.requirements import missing, need_core, need_program, need_root


def busybox_store(folder: Path) -> Command:
    """The command on a new store below ``folder``; needs root, the core, runc and busybox."""
    need_root()
    need_core()
    need_program("runc")
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    command = Command(folder / "store")
    command.run("import", "-c", 'CMD ["sh"]', write_rootfs_tar(folder / "base.tar"), "base")
    return command


@contextlib.contextmanager
def container_store(driver: str, folder: Path) -> Iterator[Command]:
    """A :func:`busybox_store` whose containers a driver runs, chosen as a user chooses one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTLAYER_RUNTIME", driver)
        command = busybox_store(folder)
        yield command
        remove_containers(command)


def remove_containers(command: Command) -> None:
    """Kill and remove every container, so that no test leaves a process."""
    for line in command.text("ps", "-aq").split():
        command.run("rm", "-f", line, check=False)
