"""BuildKit's parser test files: trees byte for byte, files that must fail, and line numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.errors import DockerfileError

from tests.support.requirements import corpus

FILES = corpus("parser/buildkit")
POSITIVE = sorted(path.name for path in (FILES / "testfiles").iterdir())
NEGATIVE = sorted(path.name for path in (FILES / "testfiles-negative").iterdir())
TABLES = corpus("parser/tables")


def test_all_files_are_there() -> None:
    assert (len(POSITIVE), len(NEGATIVE)) == (33, 4)


@pytest.mark.parametrize("name", POSITIVE)
def test_tree(name: str) -> None:
    folder = FILES / "testfiles" / name
    tree = read_nodes((folder / "Dockerfile").read_bytes()).dump()
    assert tree.encode() == (folder / "result").read_bytes()


@pytest.mark.parametrize("name", NEGATIVE)
def test_failure(name: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read_nodes((FILES / "testfiles-negative" / name / "Dockerfile").read_bytes())
    assert caught.value.line is not None


def test_line_numbers() -> None:
    wanted = json.loads((TABLES / "parser_misc.json").read_bytes())["line_numbers"]
    nodes = read_nodes((corpus("parser") / wanted["file"]).read_bytes()).nodes
    assert [[node.first, node.last] for node in nodes] == wanted["children"]


@pytest.mark.parametrize("name", ["heredoc", "long-text"])
def test_imagebuilder_file(name: str) -> None:
    folder = corpus(f"parser/imagebuilder/testfiles/{name}")
    wanted = json.loads((folder / "buildkit.json").read_bytes())
    data = (folder / "Dockerfile").read_bytes()
    if "parse_error" in wanted:
        with pytest.raises(DockerfileError) as caught:
            read_nodes(data)
        assert caught.value.message == wanted["parse_error"]
        return
    nodes = read_nodes(data).nodes
    found = [(n.keyword, n.first, n.last, list(n.words), n.original) for n in nodes]
    assert found == [
        (n["instr"], n["start"], n["end"], n["args"], n["original"]) for n in wanted["nodes"]
    ]
    bodies = [
        [(h.name, h.content, h.expand, h.chomp, h.descriptor) for h in n.heredocs] for n in nodes
    ]
    assert bodies == [
        [(h["name"], h["content"], h["expand"], h["chomp"], h["fd"]) for h in n.get("heredocs", ())]
        for n in wanted["nodes"]
    ]


def test_corpus_folder_is_not_inside_the_project() -> None:
    assert Path(__file__).resolve().parents[3] not in FILES.resolve().parents
