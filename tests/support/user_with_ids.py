"""Runs the command line as an ordinary user, with and without subordinate ids. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import fastlayer

from tests.support.requirements import missing, need_program, need_root

_NAME = "fastlayer-test"
_NOBODY = 23456
"""A number without a name and so without a range."""

_MAIN = "import sys; from fastlayer.cli.main import main; sys.exit(main())"
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """A user with a home of its own."""

    uid: int
    gid: int
    home: Path

    def fastlayer(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours; its output has both streams."""
        return self.run([_interpreter(self), "-c", _MAIN, *arguments])

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a program with a plain environment."""
        packages = {Path(module.__file__ or "").parents[1] for module in (fastlayer, click)}
        return subprocess.run(
            command,
            env={
                "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "HOME": str(self.home),
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in sorted(packages)),
            },
            cwd=self.home,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )


@contextmanager
def ordinary_user(*, ranges: bool) -> Iterator[OrdinaryUser]:
    """A user that exists as long as the context, with a range of ids or without."""
    need_root()
    for program in ("useradd", "newuidmap") if ranges else ():
        need_program(program)
    uid = gid = _NOBODY
    if ranges:
        subprocess.run(["userdel", _NAME], capture_output=True, check=False)
        subprocess.run(["useradd", "--no-create-home", _NAME], check=True)
        uid, gid = (_number(option) for option in ("-u", "-g"))
    # Other users cannot enter pytest's own directories.
    home = Path(tempfile.mkdtemp(prefix="fastlayer-home-", dir="/var/tmp"))
    os.chown(home, uid, gid)
    try:
        yield OrdinaryUser(uid, gid, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if ranges:
            subprocess.run(["userdel", _NAME], capture_output=True, check=False)


def _number(option: str) -> int:
    done = subprocess.run(["id", option, _NAME], capture_output=True, text=True, check=True)
    return int(done.stdout)


def _interpreter(user: OrdinaryUser) -> str:
    """An interpreter that the user can start and that finds our package."""
    tried = [sys.executable, "/usr/bin/python3"]
    for candidate in tried:
        try:
            done = user.run([candidate, "-c", "import fastlayer.store, click"])
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    missing(f"an ordinary user can start none of {', '.join(tried)} with fastlayer")
    raise AssertionError
