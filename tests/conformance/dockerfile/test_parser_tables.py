"""Tables transcribed from BuildKit's tests, and the nastiest cases of real files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastlayer.dockerfile import Healthcheck, parse, words
from fastlayer.dockerfile.directives import find_directive
from fastlayer.dockerfile.heredocs import Heredoc, openers, parse_opener
from fastlayer.dockerfile.lexer import LINE_LIMIT, read_nodes
from fastlayer.errors import DockerfileError

from tests.conformance.dockerfile.test_real_dockerfiles import description
from tests.support.requirements import corpus

TABLES = corpus("parser/tables")


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((TABLES / f"{name}.json").read_bytes())
    return loaded


MISC = load("parser_misc")
NASTY = load("nasty_cases")["cases"]
HEREDOCS = load("heredocs")
JSON = load("json_arrays")


@pytest.mark.parametrize("case", MISC["words"], ids=lambda case: case["input"])
def test_words(case: dict[str, Any]) -> None:
    assert list(words.parse_words(case["input"], "\\")) == case["words"]


@pytest.mark.parametrize("case", MISC["name_value"], ids=lambda case: case["rest"])
def test_pairs(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ValueError, match=case["error"]):
            words.parse_rest(case["instr"], case["rest"], "\\")
    else:
        assert list(words.parse_rest(case["instr"], case["rest"], "\\")[0]) == case["chain"]


def test_empty_continuations_warn() -> None:
    case = MISC["empty_continuation_warnings"]
    warnings = read_nodes(case["dockerfile"].encode()).warnings
    assert len(warnings) == case["warnings"]
    assert all(text in warnings[0].message for text in case["first_contains"])
    assert all(text in warnings[1].message for text in case["second_contains"])


def test_longest_line() -> None:
    head = "FROM x\nLABEL test="
    fits = "a" * (LINE_LIMIT - len("LABEL test="))
    assert parse(f"{head}{fits}\n".encode()).stages
    for text in (f"{head}{fits}a\n", f"{head}{fits}a", head + "a" * MISC["max_line"]["bytes"]):
        with pytest.raises(DockerfileError) as caught:
            parse(text.encode())
        assert (caught.value.message, caught.value.line) == (MISC["max_line"]["error"], 2)


@pytest.mark.parametrize("case", MISC["directives"], ids=lambda case: case["text"][:12])
def test_directives(case: dict[str, Any]) -> None:
    for name, value in case["directives"].items():
        assert find_directive(name, case["text"]) == value
    assert find_directive("syntax", case["text"]) is None


@pytest.mark.parametrize("name", ["detect_syntax", "check_directive"])
def test_directive_is_found(name: str) -> None:
    directive = "syntax" if name == "detect_syntax" else "check"
    for case in MISC[name]:
        found = find_directive(directive, case["text"].removeprefix("\ufeff"))
        assert (found.split(" ")[0] if found else None) == case["ref"], case
        if "cmdline" in case:
            assert found == case["cmdline"]


@pytest.mark.parametrize("case", MISC["instruction_errors"], ids=lambda case: case["text"])
def test_instruction_error(case: dict[str, str]) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"FROM scratch\n" + case["text"].encode())
    assert caught.value.line == 2
    if "error" in case:
        assert caught.value.message == case["error"]
    else:
        assert case["error_contains"] in caught.value.message


@pytest.mark.parametrize("case", MISC["healthcheck"], ids=lambda case: case["chain"][0])
def test_healthcheck(case: dict[str, Any]) -> None:
    text = f"FROM scratch\nHEALTHCHECK {' '.join(case['chain'])}"
    (instruction,) = parse(text.encode()).stages[0].instructions
    assert isinstance(instruction, Healthcheck)
    assert list(instruction.test) == case["test"]


@pytest.mark.parametrize("case", MISC["healthcheck_interval"], ids=lambda case: case["value"])
def test_healthcheck_interval(case: dict[str, Any]) -> None:
    text = f"FROM scratch\nHEALTHCHECK --interval={case['value']} CMD x".encode()
    if "error_contains" in case:
        with pytest.raises(DockerfileError, match=case["error_contains"]):
            parse(text)
    else:
        assert parse(text).stages


def test_descriptions() -> None:
    case = MISC["doc_comments"]
    found = parse(case["dockerfile"].encode())
    inner = found.stages[0].instructions
    assert found.stages[0].description == case["stage_doc"]
    assert {
        "foo (global)": found.arguments[0].arguments[0].description,
        "foo (stage)": inner[0].arguments[0].description,  # type: ignore[attr-defined]
        "bar": inner[1].arguments[0].description,  # type: ignore[attr-defined]
        "baz": inner[1].arguments[1].description,  # type: ignore[attr-defined]
    } == case["arg_docs"]


@pytest.mark.parametrize("case", NASTY, ids=lambda case: case["id"])
def test_nasty_case(case: dict[str, Any]) -> None:
    want = case["buildkit"]
    text = case.get("dockerfile") or f"FROM scratch\nLABEL a={'a' * 65536}\n"
    data = text.encode("utf-8", "surrogateescape")
    if "parse_error" in want:
        with pytest.raises(DockerfileError) as caught:
            read_nodes(data)
        assert caught.value.message == want["parse_error"]
        return
    syntax = read_nodes(data)
    assert [description(node) for node in syntax.nodes] == [
        {key: value for key, value in node.items() if value} for node in want["nodes"]
    ]
    assert syntax.escape == want["escape"]
    assert [warning.message for warning in syntax.warnings] == want.get("warnings", [])
    if "instruction_error" in want:
        with pytest.raises(DockerfileError) as caught:
            parse(data)
        assert want["instruction_error"].endswith(
            f"line {caught.value.line}: {caught.value.message}"
        )
        return
    found = parse(data)
    assert [stage.name for stage in found.stages] == want["stage_names"]
    assert [stage.base for stage in found.stages] == want["stage_bases"]
    assert found.directives.syntax == want.get("syntax")


def as_dictionary(heredoc: Heredoc) -> dict[str, Any]:
    return {
        "name": heredoc.name,
        "content": heredoc.content,
        "expand": heredoc.expand,
        "chomp": heredoc.chomp,
        "fd": heredoc.descriptor,
    }


def test_heredocs_of_nodes() -> None:
    nodes = read_nodes(HEREDOCS["dockerfile"].encode()).nodes[1:]
    assert len(nodes) == len(HEREDOCS["dockerfile_nodes"])
    for node, want in zip(nodes, HEREDOCS["dockerfile_nodes"], strict=True):
        assert node.keyword == want["instr"]
        assert [as_dictionary(heredoc) for heredoc in node.heredocs] == want["heredocs"]


@pytest.mark.parametrize("line", HEREDOCS["json_form_never_heredoc"])
def test_json_form_takes_no_heredoc(line: str) -> None:
    assert read_nodes(line.encode()).nodes[0].heredocs == ()


@pytest.mark.parametrize("word", HEREDOCS["word"]["not_a_heredoc"])
def test_word_opens_nothing(word: str) -> None:
    assert parse_opener(word) is None


@pytest.mark.parametrize("word", HEREDOCS["word"]["heredoc_named_EOF"])
def test_word_opens_heredoc(word: str) -> None:
    found = parse_opener(word)
    assert found is not None
    assert found.name == "EOF"


@pytest.mark.parametrize("word", HEREDOCS["word"]["error"])
def test_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="unexpected end of statement"):
        parse_opener(word)


@pytest.mark.parametrize("case", HEREDOCS["line"], ids=lambda case: case["line"])
def test_openers_of_line(case: dict[str, Any]) -> None:
    assert [heredoc.name for heredoc in openers(case["line"])] == case["names"]


@pytest.mark.parametrize("case", HEREDOCS["chomp"], ids=repr)
def test_tabs_are_taken_away(case: dict[str, str]) -> None:
    assert Heredoc(name="x", content=case["in"], chomp=True).text == case["out"]


@pytest.mark.parametrize("case", JSON["valid"], ids=lambda case: case["text"])
def test_json_array(case: dict[str, Any]) -> None:
    assert words.parse_json(case["text"]) == tuple(case["strings"])


@pytest.mark.parametrize("text", JSON["invalid"])
def test_json_array_of_others(text: str) -> None:
    with pytest.raises(ValueError, match=words.NOT_STRINGS):
        words.parse_json(text)
