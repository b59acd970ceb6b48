"""256 real Dockerfiles: nodes, lines, flags, heredocs and stages, or the error, as BuildKit's."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastlayer.dockerfile import Dockerfile, expand_instruction, parse
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.dockerfile.nodes import Node
from fastlayer.errors import DockerfileError

from tests.support.requirements import corpus

CORPUS = corpus()
EXPECTED = CORPUS / "dockerfiles-expected"
NAMES = sorted(
    str(path.relative_to(EXPECTED)) for path in EXPECTED.rglob("*") if path.name.endswith(".json")
)


@cache
def wanted(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXPECTED / name).read_bytes())
    return loaded


def data(name: str) -> bytes:
    return (CORPUS / Path(wanted(name)["file"])).read_bytes()


def description(node: Node) -> dict[str, Any]:
    """A node in the form of the expectations, empty parts left out."""
    words = list(node.words) if node.child is None else [node.child.dump()]
    heredocs = [
        {
            "name": heredoc.name,
            "content": heredoc.content,
            "expand": heredoc.expand,
            "chomp": heredoc.chomp,
            "fd": heredoc.descriptor,
        }
        for heredoc in node.heredocs
    ]
    parts = {
        "instr": node.keyword.lower(),
        "start": node.first,
        "end": node.last,
        "args": words,
        "flags": list(node.flags),
        "json": node.json,
        "heredocs": heredocs,
        "original": node.original,
    }
    return {key: value for key, value in parts.items() if value}


def test_all_files_are_there() -> None:
    assert len(NAMES) == 256


@pytest.mark.parametrize("name", NAMES)
def test_nodes(name: str) -> None:
    want = wanted(name)
    if "parse_error" in want:
        with pytest.raises(DockerfileError) as caught:
            read_nodes(data(name))
        assert caught.value.message == want["parse_error"]
        return
    syntax = read_nodes(data(name))
    nodes = [{key: value for key, value in node.items() if value} for node in want["nodes"]]
    assert [description(node) for node in syntax.nodes] == nodes
    assert syntax.escape == want["escape"]
    assert [warning.message for warning in syntax.warnings] == want.get("warnings", [])


@pytest.mark.parametrize("name", NAMES)
def test_stages(name: str) -> None:
    want = wanted(name)
    error = want.get("instruction_error") or want.get("parse_error")
    if error is not None:
        with pytest.raises(DockerfileError) as caught:
            parse(data(name))
        match = re.match(r"dockerfile parse error on line (\d+): (.*)", error)
        if match:
            assert (caught.value.line, caught.value.message) == (int(match[1]), match[2])
        else:
            assert caught.value.message == error
        assert caught.value.line is not None
        return
    found = parse(data(name))
    assert len(found.stages) == want["stages"]
    assert [stage.name for stage in found.stages] == want["stage_names"]
    assert [stage.base for stage in found.stages] == want["stage_bases"]
    assert found.directives.syntax == want.get("syntax")
    assert found.directives.check == want.get("check")


@pytest.mark.parametrize("name", NAMES)
def test_expansion_fails_only_for_what_is_wrong(name: str) -> None:
    """Each instruction expands in an empty environment, or needs a variable."""
    if {"parse_error", "instruction_error"} & set(wanted(name)):
        return
    found = parse(data(name))
    for instruction in instructions_of(found):
        try:
            expand_instruction(instruction, {}, found.directives.escape)
        except DockerfileError as error:
            assert re.search(
                r"should not be blank|can not be an empty|empty platform|no port specified"
                r"|unsupported modifier|invalid value  for|unexpected end of statement"
                r"|is not allowed to be|not supported for --from",
                error.message,
            ), error


def instructions_of(found: Dockerfile) -> list[Any]:
    return [
        instruction for stage in found.stages for instruction in (stage.from_, *stage.instructions)
    ]
