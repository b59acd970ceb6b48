"""The ``fastlayer`` command as a process, on a store of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Command:
    """Runs the installed command with ``--root``."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(self, *arguments: str | Path) -> list[str]:
        """The whole command line, for a caller who starts it otherwise (a pty, a signal)."""
        words = [str(word) for word in arguments]
        return [sys.executable, "-m", "fastlayer.cli", "--root", str(self.root), *words]

    def environ(self) -> dict[str, str]:
        """The process environment of a call."""
        return {**os.environ, **self.environment}

    def run(
        self,
        *arguments: str | Path,
        check: bool = True,
        stdin: bytes = b"",
        cwd: Path | None = None,
        timeout: float = 300,
        umask: int = -1,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run to the end; output is captured as bytes. ``check`` asserts exit code 0."""
        done = subprocess.run(
            self.argv(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environ(),
            cwd=cwd,
            timeout=timeout,
            umask=umask,
            check=False,
        )
        if check and done.returncode:
            words = " ".join(str(word) for word in arguments)
            raise AssertionError(
                f"fastlayer {words}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}"
            )
        return done

    def text(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """What a successful call writes to stdout, without the last newline."""
        return self.run(*arguments, cwd=cwd).stdout.decode().removesuffix("\n")
