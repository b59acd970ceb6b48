"""Quoting, quantities, suggestions, paths, values, and the time it takes to import."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import pytest
from fastlayer.dockerfile import Argument, Span, parse_ignore, quantities, suggest
from fastlayer.dockerfile.ignore import clean_path
from fastlayer.dockerfile.quoting import quote, quote_all
from fastlayer.errors import DockerfileError
from fastlayer.value import Value
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x7f", '"\\x00\\x7f"'),
        ("é♥한", '"é♥한"'),
        ("\u00a0\u200b", '"\\u00a0\\u200b"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("\udcff", '"\\xff"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    assert quote(text) == quoted


def test_quote_all() -> None:
    assert quote_all(()) == "[]"
    assert quote_all(("a", "b c")) == '["a" "b c"]'


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_quoted_ascii_is_read_back(text: str) -> None:
    readable = quote(text).replace("\\a", "\\u0007").replace("\\v", "\\u000b")
    assert json.loads(readable.replace("\\x", "\\u00")) == text or "\\\\" in readable


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        *(("0", 0), ("1ns", 1), ("1us", 1000), ("1µs", 1000), ("1h2m3s", 3_723_000_000_000)),
        *((".5s", 500_000_000), ("1.s", 1_000_000_000), ("-1ms", -1_000_000), ("+1s", 1_000_000_000)),
    ],
)  # fmt: skip
def test_duration(text: str, nanoseconds: int) -> None:
    assert quantities.parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "s", ".s", "1", "1x", "1s2", "--1s", "9" * 30 + "h", "1 s", "1e3s"]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        quantities.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("32", 32), ("32b", 32), ("32B", 32), ("1k", 1024), ("1KB", 1024), ("1KiB", 1024),
     ("1.5 MB", 1_572_864), ("2g", 2**31), ("1t", 2**40), ("1P", 2**50)],
)  # fmt: skip
def test_size(text: str, size: int) -> None:
    assert quantities.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "x", "1x", "1ib", "1.m", "1  m", "9" * 20 + "p"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        quantities.parse_size(text)


@pytest.mark.parametrize(
    ("word", "found"),
    [("chwon", "chown"), ("chown", None), ("xyzzy", None), ("chmo", "chmod"), ("", None)],
)
def test_suggestion(word: str, found: str | None) -> None:
    assert suggest(word, ("chown", "chmod", "link")) == found


@pytest.mark.parametrize(("word", "found"), [("RUM", "RUN"), ("rum", "run"), ("Rum", "run")])
def test_suggestion_follows_the_case(word: str, found: str) -> None:
    assert suggest(word, ("RUN", "COPY"), case_sensitive=False) == found


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        *(("", "."), (".", "."), ("a/../..", ".."), ("/..", "/"), ("//a//b/", "/a/b")),
        *(("./a/./b", "a/b"), ("../../a", "../../a"), ("a/..", "."), ("/", "/")),
    ],
)
def test_clean_path(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned


@given(st.text(alphabet="a./", max_size=12))
def test_cleaning_twice_is_cleaning_once(path: str) -> None:
    assert clean_path(clean_path(path)) == clean_path(path)


def test_ignore_files() -> None:
    text = b"# comment\n #a\r\n\r\n  b/  \n!./c\n/\n**/d\n!\\!e\n"
    assert parse_ignore(text) == ("#a", "b", "!c", "/", "**/d", "!\\!e")
    with pytest.raises(DockerfileError) as caught:
        parse_ignore(b"a\n\xff\n", file="x.dockerignore")
    assert str(caught.value) == "x.dockerignore:2: the pattern is not UTF-8"


@given(st.binary(max_size=60))
def test_any_ignore_file_is_harmless(data: bytes) -> None:
    try:
        patterns = parse_ignore(data)
    except DockerfileError:
        return
    assert all(pattern for pattern in patterns)


class _Pair(Value, kw_only=False):
    left: int
    right: tuple[str, ...] = ()


def test_values_are_frozen_and_compare_by_fields() -> None:
    pair = _Pair(1)
    assert pair == _Pair(1, ())
    assert pair != _Pair(2)
    assert pair != Span(1, 1)
    assert len({pair, _Pair(1), _Pair(1, ("a",))}) == 2
    assert pair.replace(right=("b",)) == _Pair(1, ("b",))
    assert repr(pair) == "_Pair(left=1, right=())"
    for value in (pair, Argument(key="a")):
        assert pickle.loads(pickle.dumps(value)) == value
        assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError, match="frozen"):
        pair.left = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del pair.left


@pytest.mark.parametrize(("arguments", "named"), [((), {}), ((1, (), 3), {}), ((1,), {"x": 1})])
def test_values_check_their_arguments(arguments: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        _Pair(*arguments, **named)  # type: ignore[arg-type]


def test_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, types\n"
        "front = types.ModuleType('fastlayer')\n"
        "front.__path__ = [sys.argv[1]]\n"
        "sys.modules['fastlayer'] = front\n"
        "import fastlayer.dockerfile\n"
        "print(*sorted(sys.modules))\n"
    )
    import fastlayer

    folder = fastlayer.__path__[0]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, folder], capture_output=True, text=True, check=True
    )
    heavy = {"dataclasses", "inspect", "json", "ipaddress", "pathlib", "click", "logging"}
    assert not heavy & set(result.stdout.split())
