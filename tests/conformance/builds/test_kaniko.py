"""kaniko's cases and its fork's: the same image as the engine's, or a difference that is listed.

See ``test_buildah.py``, and ``docs/conformance.md`` for the verdicts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.builds.kaniko_verdicts import BASES, VERDICTS
from tests.support.build_case import BuildCase, prepare
from tests.support.build_check import unexplained
from tests.support.build_pair import BuildPair
from tests.support.kaniko_cases import complete, kaniko_cases

SAMPLE = frozenset(
    {
        *("kaniko-context-57", "kaniko-copy", "kaniko-dockerignore"),
        *("fork-issue_3344", "fork-issue_969", "fork-issue_mz798"),
    }
)
"""What runs in any test run: what is particular in few seconds."""

CASES = [case for case in kaniko_cases() if case.id not in VERDICTS.missing]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.id, marks=() if case.id in SAMPLE else pytest.mark.long)
        for case in CASES
    ],
)
def test_the_image_is_the_engines(
    case: BuildCase, pair: BuildPair, web: str, tmp_path: Path
) -> None:
    prepared = prepare(case, tmp_path, web)
    complete(case, prepared.context)
    assert unexplained(prepared, pair, BASES, VERDICTS, tmp_path) == []
