"""The verdicts themselves: they speak of cases that exist, and the document says what they say."""

from __future__ import annotations

import pytest

from tests.conformance.builds import buildah_verdicts, kaniko_verdicts
from tests.support.build_case import BuildCase
from tests.support.build_verdicts import Listed, Verdicts
from tests.support.buildah_cases import buildah_cases
from tests.support.kaniko_cases import kaniko_cases
from tests.support.verdict_table import DOCUMENT, replaced


@pytest.mark.parametrize(
    ("verdicts", "cases"),
    [
        (buildah_verdicts.VERDICTS, buildah_cases()),
        (kaniko_verdicts.VERDICTS, kaniko_cases()),
    ],
    ids=["buildah", "kaniko"],
)
def test_each_verdict_is_about_one_case(verdicts: Verdicts, cases: list[BuildCase]) -> None:
    ids = [case.id for case in cases]
    assert len(set(ids)) == len(ids)
    assert set(verdicts.listed) | set(verdicts.missing) <= set(ids)
    assert not set(verdicts.listed) & set(verdicts.missing)


def test_the_document_lists_the_verdicts() -> None:
    text = DOCUMENT.read_text()
    assert replaced(text) == text, "run python -m tests.support.verdict_table"


def test_a_listed_difference_must_be_there() -> None:
    listed = Listed("a reason", ("^/a: mode", "^/b: "))
    assert listed.unexplained(["/a: mode 1 != 2", "/b: missing"]) == []
    assert listed.unexplained(["/a: mode 1 != 2", "/c: missing"]) == [
        "/c: missing",
        "listed, but not so any more: ^/b: ",
    ]
