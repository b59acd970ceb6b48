"""buildah's conformance cases: the same image as the engine's, or a difference that is listed.

Each case is built by fastlayer and, in the same run, by a Docker Engine with BuildKit, or with its
classic builder where the case is about that. ``docs/conformance.md`` lists the verdicts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.builds.buildah_verdicts import BASES, VERDICTS
from tests.support.build_case import BuildCase, prepare
from tests.support.build_check import unexplained
from tests.support.build_pair import BuildPair
from tests.support.buildah_cases import buildah_cases, complete

SAMPLE = frozenset(
    f"bc-{number:03}"
    for number in (
        *(2, 12, 29, 40, 45, 49, 58, 69, 83, 106, 119, 124, 131, 139, 154, 166, 171, 178),
    )
)
"""What runs in any test run: about one case of each kind."""

CASES = [case for case in buildah_cases() if case.id not in VERDICTS.missing]


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
