"""Work done as an ordinary user, whoever runs the tests: root is refused nothing.

As root the work runs in a forked child that has become :data:`USER`; an ordinary user does it in
place. Import what the work needs before: the child may not be able to read the source tree.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

USER = 65534
"""Uid and gid of the ordinary user (Debian's nobody)."""


@contextmanager
def user_folder() -> Iterator[Path]:
    """A directory that the ordinary user owns and can reach; pytest's own are closed to him."""
    folder = Path(tempfile.mkdtemp(prefix="fastlayer-user-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, USER, USER)
        yield folder
    finally:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


def as_ordinary_user(work: Callable[[], None]) -> None:
    """Do the work as an ordinary user; its failure is an AssertionError with the traceback."""
    if os.geteuid() != 0:
        work()
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            work()
            code = 0
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, told
