"""The part of ``docs/conformance.md`` about whole builds, made from the verdicts.

``python -m tests.support.verdict_table`` writes it anew; a test holds the file to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.conformance.builds import buildah_verdicts, kaniko_verdicts
from tests.support.build_case import BuildCase
from tests.support.build_verdicts import Verdicts
from tests.support.buildah_cases import buildah_cases
from tests.support.engine_rewrites import is_rewritten
from tests.support.kaniko_cases import kaniko_cases
from tests.support.requirements import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "conformance.md"
BEGIN, END = "<!-- builds: generated -->\n", "<!-- builds: end -->\n"


def section() -> str:
    """The whole generated part."""
    kaniko = kaniko_cases()
    sets = [
        ("buildah", buildah_cases(), buildah_verdicts.VERDICTS),
        ("kaniko", [case for case in kaniko if case.id.startswith("kaniko-")], _KANIKO),
        ("kaniko's fork", [case for case in kaniko if case.id.startswith("fork-")], _KANIKO),
    ]
    lines = [
        "| cases of | all | equal | differ, with a reason | cannot run |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, cases, verdicts in sets:
        listed = sum(case.id in verdicts.listed for case in cases)
        missing = sum(case.id in verdicts.missing for case in cases)
        equal = len(cases) - listed - missing
        lines.append(f"| {name} | {len(cases)} | {equal} | {listed} | {missing} |")
    lines += ["", "| case | name | verdict | reason, or what is missing |", "|---|---|---|---|"]
    for _, cases, verdicts in sets:
        lines += _rows(cases, verdicts)
    return "\n".join([*lines, ""])


_KANIKO = kaniko_verdicts.VERDICTS


def _rows(cases: Sequence[BuildCase], verdicts: Verdicts) -> list[str]:
    rows = []
    for case in cases:
        verdict, reason = "equal", ""
        if case.id in verdicts.missing:
            verdict, reason = "cannot run", verdicts.missing[case.id]
        elif case.id in verdicts.listed:
            verdict, reason = "differs", verdicts.listed[case.id].reason
        elif is_rewritten(case.id):
            reason = "the engine builds a Dockerfile that says the same without newer syntax"
        elif case.fails:
            reason = "both fail, at the same line" if case.line else "both fail"
        elif case.classic:
            reason = "against the classic builder"
        rows.append(f"| {case.id} | {case.name} | {verdict} | {reason} |")
    return rows


def replaced(text: str) -> str:
    """The document with its generated part as it must be."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + section() + END + rest.split(END)[1]


def write(path: Path = DOCUMENT) -> None:
    """Write the part anew."""
    path.write_text(replaced(path.read_text()))


if __name__ == "__main__":
    write()
