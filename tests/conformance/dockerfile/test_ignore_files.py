"""Ignore files to patterns, as moby's ignorefile reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastlayer.dockerfile import parse_ignore

from tests.support.requirements import corpus

TABLE: dict[str, Any] = json.loads((corpus("dockerignore") / "file_parse_cases.json").read_bytes())


@pytest.mark.parametrize(
    "case", TABLE["cases"] + TABLE["cases_from_moby_build_tests"], ids=lambda case: case["test"]
)
def test_patterns(case: dict[str, Any]) -> None:
    assert list(parse_ignore((case["text"] or "").encode())) == case["patterns"]
