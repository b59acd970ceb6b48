"""The comparers that the conformance tests rest on: what they must not overlook."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from typing import Any

from tests.support.build_pair import config_differences
from tests.support.tree_compare import Node, differences, equal_when_new, merge, read_tar


def _tar(*members: tuple[str, dict[str, Any], bytes]) -> dict[str, Node]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, attributes, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in attributes.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return read_tar(buffer)


DIRECTORY = {"type": tarfile.DIRTYPE, "mode": 0o755}


def test_every_field_of_a_file_counts() -> None:
    tree = _tar(("d/", DIRECTORY, b""), ("d/f", {"mode": 0o644, "mtime": 7}, b"x"))
    assert differences(tree, tree, ignore_fields=()) == []
    changes: list[tuple[str, Any]] = [
        *(("mode", 0o4755), ("uid", 1), ("gid", 1), ("digest", ""), ("mtime", 8)),
        *(("xattrs", (("user.a", "b"),)), ("link_group", "d/g"), ("kind", "fifo")),
    ]
    for field, value in changes:
        other = {**tree, "d/f": replace(tree["d/f"], **{field: value})}
        (line,) = differences(tree, other, ignore_fields=())
        assert line.startswith(f"/d/f: {field} ")
    assert differences(tree, {}) == ["/d: missing", "/d/f: missing"]
    assert differences({}, {"x": tree["d/f"]}) == ["/x: not expected"]


def test_only_times_of_the_run_are_alike() -> None:
    tree = _tar(("f", {"mtime": 5}, b""), ("g", {"mtime": 200}, b""), ("h", {"mtime": 300}, b""))
    times = {path: node.mtime for path, node in equal_when_new(tree, 100.5).items()}
    assert times == {"f": 5, "g": 100, "h": 100}


def test_layers_are_merged_as_an_engine_does() -> None:
    link = {"type": tarfile.LNKTYPE, "linkname": "a/one"}
    lower = _tar(
        ("a/", DIRECTORY, b""),
        ("a/one", {}, b"1"),
        ("a/two", link, b""),
        ("b/", DIRECTORY, b""),
        ("b/x", {}, b"x"),
        ("c/", DIRECTORY, b""),
        ("c/x", {}, b"x"),
    )
    upper = _tar(
        *(("a/.wh.one", {}, b""), ("b/.wh..wh..opq", {}, b""), ("b/y", {}, b"y"), ("c", {}, b"c"))
    )
    merged = merge([lower, upper])
    assert sorted(merged) == ["a", "a/two", "b", "b/y", "c"]
    assert merged["a/two"].link_group == ""
    assert merge([lower])["a/two"].link_group == "a/one"


def test_every_key_of_a_configuration_counts() -> None:
    left = {
        "config": {"Env": ["a=b"], "Labels": None},
        "history": [{"created_by": "EXPOSE [1/tcp]"}],
    }
    right = {
        "config": {"Env": ["a=b"], "Image": "x"},
        "history": [{"created_by": "EXPOSE map[1/tcp:{}]"}],
    }
    assert config_differences(left, right) == []
    other = {**right, "config": {"Env": ["a=c"], "Cmd": ["x"]}, "author": "me", "history": []}
    assert [line.split(":")[0] for line in config_differences(left, other)] == [
        *("author", "config.Cmd", "config.Env", "history"),
    ]
    flags = {"history": [{"created_by": "COPY --chown=1:1 --chmod=1 a b"}]}
    assert config_differences(flags, {"history": [{"created_by": "COPY a b"}]}) == []
    changed = {"history": [{"created_by": "COPY a c", "empty_layer": True}]}
    assert len(config_differences(flags, changed)) == 2
