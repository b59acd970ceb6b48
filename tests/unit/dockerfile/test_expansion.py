"""Words: what the tables of others do not cover, and properties."""

from __future__ import annotations

import re

import pytest
from fastlayer.dockerfile import expand, expand_content, expand_names, expand_words, glob
from fastlayer.errors import DockerfileError
from hypothesis import given
from hypothesis import strategies as st

PIECES = [*"${}aB1_:-+?#%/*'", '"', " ", "<"]
TEXTS = st.text(alphabet="ab\n*\\é", max_size=12)
PATTERNS = st.lists(st.sampled_from(["a", "b", "*", "?", "\\*", "\\\\", "é"]), max_size=6).map(
    "".join
)


@pytest.mark.parametrize(
    ("word", "escape", "result"),
    [
        ("a`$x", "`", "a$x"),
        ("a\\$x", "`", "a\\1"),
        ('"a`"b"', "`", 'a"b'),
        ("C:\\x\\$x", "`", "C:\\x\\1"),
        ("${x}${y:-${x:+z}}", "\\", "1z"),
        ("${x/1/$x$x}", "\\", "11"),
        ("${path##*/}", "\\", "c.txt"),
        ("${path%.*}", "\\", "/a.b/c"),
        ("${path%%.*}", "\\", "/a"),
        ("${path//\\//_}", "\\", "_a.b_c.txt"),
        ("$x$", "\\", "1$"),
        ("${x}y$xy", "\\", "1y"),
    ],
)
def test_word(word: str, escape: str, result: str) -> None:
    assert expand(word, {"x": "1", "path": "/a.b/c.txt"}, escape) == result


def test_nested_words_do_not_eat_what_stands_before() -> None:
    assert expand_words("80${x:-81 82}83 84", {}) == ("8081", "8283", "84")


def test_content_keeps_quotes() -> None:
    text = "\"$a\" 'b$a' \\$a \\n ${c:-d}\n"
    assert expand_content(text, {"a": "1"}).text == "\"1\" 'b1' $a n d\n"


def test_names() -> None:
    expansion = expand_names("$a ${b:-$c} '$d' \\$e", {"a": "", "c": "1"})
    assert set(expansion.used) == {"a", "c"}
    assert set(expansion.unset) == {"b"}


def test_error_has_the_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        expand("${a", {}, file="f", line=3)
    assert str(caught.value) == "f:3: failed to process \"${a\": syntax error: missing '}'"


def test_nesting_is_bounded() -> None:
    with pytest.raises(DockerfileError, match="inside each other"):
        expand("${a:-" * 3000, {})


def test_expansion_is_bounded() -> None:
    """Forty lines of ``ENV a=$a$a`` would take all memory."""
    value = "x" * 400_000
    assert len(expand("$a$a", {"a": value})) == 800_000
    for word in ("$a$a$a", '"$a$a$a"', "${a//x/$b}", "${b:+$a$a$a}"):
        with pytest.raises(DockerfileError, match="expands to more than"):
            expand(word, {"a": value, "b": "123"})
    with pytest.raises(DockerfileError, match="expands to more than"):
        expand_content("$a\n" * 3, {"a": value})


def test_patterns_take_no_quadratic_time() -> None:
    text = "a" * 60_000
    for pattern in ("a*b", "*a*a*a*b", "aa*a?b"):
        assert glob.replace(pattern, "x", text, every=True) == text
        assert glob.trim_suffix(pattern, text, longest=True) == text


@given(st.lists(st.sampled_from(PIECES), max_size=15).map("".join))
def test_any_word_is_harmless(word: str) -> None:
    for escape in "\\`":
        try:
            expand_names(word, {"a": "b b", "aB": "/x/y"}, escape)
        except DockerfileError as error:
            assert "\n" not in error.message


@given(st.text(max_size=20))
def test_single_quotes_keep_everything(text: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", {"a": "b"}) == text


@given(
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)), st.lists(st.sampled_from("abc"))
)
def test_plain_names_are_replaced(environment: dict[str, str], names: list[str]) -> None:
    word = "".join(f"${{{name}}}" for name in names)
    assert expand(word, environment) == "".join(environment.get(name, "") for name in names)


def regex(pattern: str, *, longest: bool) -> re.Pattern[str]:
    parts = []
    for token in glob.parse_glob(pattern):
        if not isinstance(token, glob.Wildcard):
            parts.append(re.escape(token))
        elif token is glob.Wildcard.ANY:
            parts.append(".")
        else:
            parts.append(".*" if longest else ".*?")
    return re.compile("".join(parts))


@given(PATTERNS, TEXTS, st.booleans())
def test_prefix_is_what_a_regular_expression_takes(pattern: str, text: str, longest: bool) -> None:
    match = regex(pattern, longest=longest).match(text)
    wanted = text[match.end() :] if match else text
    assert glob.trim_prefix(pattern, text, longest=longest) == wanted


def written(token: str | glob.Wildcard) -> str:
    if isinstance(token, glob.Wildcard):
        return str(token.value)
    return f"\\{token}" if token in ("*", "?", "\\") else token


@given(PATTERNS, TEXTS, st.booleans())
def test_suffix_is_the_mirrored_prefix(pattern: str, text: str, longest: bool) -> None:
    mirror = "".join(written(token) for token in reversed(glob.parse_glob(pattern)))
    mirrored = glob.trim_prefix(mirror, text[::-1], longest=longest)[::-1]
    assert glob.trim_suffix(pattern, text, longest=longest) == mirrored


@given(PATTERNS, TEXTS)
def test_first_replacement_is_what_a_regular_expression_does(pattern: str, text: str) -> None:
    wanted = regex(pattern, longest=True).sub("<>", text, count=1)
    assert glob.replace(pattern, "<>", text, every=False) == wanted
