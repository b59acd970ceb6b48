"""Every known trap has a test that bears its code, or a reason why it needs none."""

from __future__ import annotations

import re

from tests.support.requirements import REPOSITORY

ROWS = {"A": 20, "B": 12, "C": 19, "D": 12, "E": 10, "F": 6, "G": 5}
"""How many rows each group has; the rows are described in ``docs/reliability.md``."""

_PYTHON_TEST = re.compile(r"^(?:async )?def test_((?:[a-g]\d+_(?:and_)?)+)", re.MULTILINE)
_RUST_TEST = re.compile(r"#\[test\]\s*(?:#\[[^\]]*\]\s*)*fn ((?:[a-g]\d+_(?:and_)?)+)")
_CODE = re.compile(r"[a-g]\d+")
_EXEMPT = re.compile(r"^- ([A-G]\d+): ", re.MULTILINE)


def covered() -> set[str]:
    found: set[str] = set()
    for folder, ending, pattern in (("tests", "*.py", _PYTHON_TEST), ("rust", "*.rs", _RUST_TEST)):
        for path in (REPOSITORY / folder).rglob(ending):
            for match in pattern.finditer(path.read_text()):
                found.update(code.upper() for code in _CODE.findall(match[1]))
    return found


def exempt() -> set[str]:
    text = (REPOSITORY / "docs" / "reliability.md").read_text()
    section = text.partition("## Traps")[2].partition("\n## ")[0]
    return set(_EXEMPT.findall(section.partition("Rows that touch nothing")[2]))


def test_every_row_has_a_test_or_a_reason() -> None:
    rows = {f"{group}{number}" for group, count in ROWS.items() for number in range(1, count + 1)}
    assert covered() | exempt() == rows
    assert not covered() & exempt(), "a row with a test needs no reason"
