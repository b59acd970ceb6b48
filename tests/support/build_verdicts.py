"""What is known of a case: that it cannot run and what is missing, or how the images differ and
why. All other cases must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """Differences that have a reason; each pattern stands for at least one, and all match one."""

    reason: str
    patterns: tuple[str, ...]

    def unexplained(self, lines: Sequence[str]) -> list[str]:
        """What the list and the differences do not have in common."""
        rules = [re.compile(pattern) for pattern in self.patterns]
        found = [line for line in lines if not any(rule.search(line) for rule in rules)]
        return found + [
            f"listed, but not so any more: {rule.pattern}"
            for rule in rules
            if not any(rule.search(line) for line in lines)
        ]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts on a set of cases, by their ids."""

    listed: Mapping[str, Listed]
    missing: Mapping[str, str]

    def unexplained(self, case_id: str, lines: Sequence[str]) -> list[str]:
        """The differences of a case that no verdict explains."""
        listed = self.listed.get(case_id)
        return listed.unexplained(lines) if listed else list(lines)
