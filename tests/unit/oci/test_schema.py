"""Documents against the verdicts of the image specification's own schema tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastlayer.errors import DocumentError
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.descriptor import read_descriptor
from fastlayer.oci.document import parse
from fastlayer.oci.index import Index
from fastlayer.oci.manifest import Manifest
from fastlayer.value import replace

from tests.support.requirements import corpus

READERS: dict[str, Callable[[bytes], object]] = {
    "manifest": Manifest.from_json,
    "config": ImageConfig.from_json,
    "index": Index.from_json,
    "descriptor": lambda data: read_descriptor(parse(data, "descriptor")),
}


def cases() -> dict[str, Any]:
    path: Path = corpus("oci/schema_cases.json")
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


@pytest.mark.parametrize("kind", sorted(READERS))
def test_verdicts(kind: str) -> None:
    chosen = [case for case in cases()["cases"] if case["kind"] == kind]
    assert chosen
    wrong = []
    for case in chosen:
        try:
            READERS[kind](case["json"].encode())
            accepted = True
        except DocumentError:
            accepted = False
        if accepted != case["valid"]:
            wrong.append(f"{case['id']}: {case['why']}")
    assert not wrong


def test_docker_documents_keep_their_bytes() -> None:
    for case in cases()["docker_documents"]["cases"]:
        data = case["docker_json"].encode()
        value = json.loads(data)
        reader = "config" if "rootfs" in value else "index" if "manifests" in value else "manifest"
        document = READERS[reader](data)
        assert isinstance(document, Manifest | ImageConfig | Index)
        assert document.digest == case["digest"]
        assert document.to_json() == data


def test_an_unchanged_document_written_anew_means_the_same() -> None:
    for case in cases()["cases"]:
        if case["kind"] not in {"manifest", "config", "index"} or not case["valid"]:
            continue
        document = READERS[case["kind"]](case["json"].encode())
        assert isinstance(document, Manifest | ImageConfig | Index)
        written = replace(document, raw=None).to_json()
        again = READERS[case["kind"]](written)
        assert again == document
