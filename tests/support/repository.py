"""A git repository for tests: commits with fixed times, served by any web server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.requirements import need_program

TIME = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a working tree; :meth:`publish` makes the bare one that is served."""

    root: Path

    def git(self, *arguments: str | Path) -> str:
        """Run git there; gives what it prints."""
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{
                f"GIT_{who}_{what}": value
                for who in ("AUTHOR", "COMMITTER")
                for what, value in (
                    ("NAME", "test"),
                    ("EMAIL", "test@localhost"),
                    ("DATE", f"{TIME} +0000"),
                )
            },
        }
        done = subprocess.run(
            ["git", "-C", self.root, *arguments],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit files; gives the commit."""
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def publish(self, bare: Path) -> Path:
        """Make or renew a bare copy that can be served as plain files."""
        if not bare.exists():
            self.git("init", "--quiet", "--bare", "--initial-branch=main", bare)
        self.git("push", "--quiet", "--mirror", bare)
        Repository(bare).git("update-server-info")
        return bare


def make_repository(root: Path) -> Repository:
    """A new empty repository, its branch ``main``."""
    need_program("git")
    root.mkdir(parents=True)
    made = Repository(root)
    made.git("init", "--quiet", "--initial-branch=main")
    return made
