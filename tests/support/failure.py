"""What a command that failed told its user: the error, the hint, and the exit code."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """The end of a command's stderr, taken apart.

    ``before`` is what stood above it, ``excerpt`` the line of a Dockerfile that it is about,
    underlined.
    """

    code: int
    error: str
    hint: str
    before: str
    excerpt: str = ""

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[bytes]) -> Failure:
        """Assert that a command failed as it should: ``error:``, then perhaps ``hint:``."""
        text = done.stderr.decode()
        assert done.returncode > 0, f"exit {done.returncode}\n{text}"
        assert "Traceback" not in text, text
        lines = text.removesuffix("\n").split("\n")
        starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
        assert len(starts) == 1, f"not one error in: {text}"
        start = starts[0]
        rest = lines[start + 1 :]
        excerpt = rest[:2] if rest[:1] and rest[0].startswith("  ") else []
        rest = rest[len(excerpt) :]
        assert all(line.startswith("hint: ") for line in rest[:1]), text
        assert len(rest) <= 1, f"more than a hint in: {text}"
        error = lines[start].removeprefix("error: ")
        assert error == error.strip() and not error.endswith("."), error
        return cls(
            code=done.returncode,
            error=error,
            hint=rest[0].removeprefix("hint: ") if rest else "",
            before="\n".join(lines[:start]),
            excerpt="\n".join(excerpt),
        )
