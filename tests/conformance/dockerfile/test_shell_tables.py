"""BuildKit's tables of shell words: expansion, splitting, and which names were looked up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastlayer.dockerfile import expand, expand_names, expand_words, glob
from fastlayer.errors import DockerfileError

from tests.support.requirements import corpus

SHELL = corpus("parser/shell")
TABLE: dict[str, Any] = json.loads((corpus("parser/tables") / "shell_expansion.json").read_bytes())
ENVIRONMENT = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}


def table_lines(name: str) -> Iterator[str]:
    for line in (SHELL / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def word_cases() -> list[tuple[str, str]]:
    cases = []
    for line in table_lines("envVarTest"):
        platform, word, result = (part.strip() for part in line.split("|"))
        if platform != "W":
            cases.append((word, result))
    return cases


def split_cases() -> list[tuple[str, str, dict[str, str]]]:
    cases = []
    environment: dict[str, str] = {}
    for line in table_lines("wordsTest"):
        if line.startswith("ENV "):
            name, _, value = line[4:].partition("=")
            environment = environment | {name: value}
        else:
            word, _, result = line.partition("|")
            cases.append((word.strip(), result.lstrip(), environment))
    return cases


def test_the_tables_are_whole() -> None:
    assert (len(word_cases()), len(split_cases())) == (228, 24)
    assert (len(TABLE["cases"]), len(TABLE["mandatory"])) == (50, 6)


@pytest.mark.parametrize(("word", "result"), word_cases())
def test_word(word: str, result: str) -> None:
    if result == "error":
        with pytest.raises(DockerfileError):
            expand(word, ENVIRONMENT)
    else:
        assert expand(word, ENVIRONMENT) == result


@pytest.mark.parametrize(("word", "result", "environment"), split_cases())
def test_split(word: str, result: str, environment: dict[str, str]) -> None:
    if result == "error":
        with pytest.raises(DockerfileError):
            expand_words(word, environment)
    else:
        assert list(expand_words(word, environment)) == result.split(",")


@pytest.mark.parametrize("case", TABLE["cases"] + TABLE["mandatory"])
def test_substitution(case: dict[str, Any]) -> None:
    if "result" not in case:
        with pytest.raises(
            DockerfileError, match=re.escape(case.get("error_contains", "failed to"))
        ):
            expand(case["input"], case["env"])
        return
    expansion = expand_names(case["input"], case["env"])
    assert expansion.text == case["result"]
    if "matched" in case:
        assert sorted(expansion.used) == sorted(case["matched"])
        assert sorted(expansion.unset) == sorted(case["unmatched"])


@pytest.mark.parametrize("pattern", TABLE["glob_to_regex"]["invalid"])
def test_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="invalid escape"):
        glob.parse_glob(pattern)


@pytest.mark.parametrize("case", TABLE["glob_to_regex"]["valid"])
def test_pattern_matches_what_the_regular_expression_does(case: dict[str, str]) -> None:
    regex = re.compile(case["regex"].replace("^", "", 1))
    for text in ("", "a", "*", "*x", "?", "\\", "(()[]{}^$.*?|\\", "(()[]{}^$.*?|\\x", "((x"):
        match = regex.match(text)
        found = glob.match_at(glob.parse_glob(case["pattern"]), text, 0, longest=True)
        assert found == (match.end() if match else None)
