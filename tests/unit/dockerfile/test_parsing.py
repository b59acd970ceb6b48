"""Whole Dockerfiles: stages, global arguments, directives, and where errors point."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

import pytest
from fastlayer.dockerfile import (
    Arg,
    Copy,
    Env,
    Run,
    Span,
    expand_instruction,
    parse,
    parse_trigger,
)
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.errors import DockerfileError
from hypothesis import example, given
from hypothesis import strategies as st

FRAGMENTS = [
    *("FROM a\n", "FROM a AS b\n", "RUN ", "COPY --from=b ", "ADD ", "ENV ", "LABEL ", "ARG "),
    *("HEALTHCHECK ", "ONBUILD ", "EXPOSE ", "VOLUME ", "SHELL ", "USER ", "STOPSIGNAL ", "CMD "),
    *("# escape=`\n", "# syntax=x\n", "#", "\\\n", "`\n", "\n", "\r\n", " ", "\t", "\u00a0", "="),
    *("<<EOF", "<<-'E F'", "EOF\n", "[", "]", '"', "'", "a", "b=c", "${", "}", ":-", "#*", "//"),
    *("--mount=type=cache,", "target=/x", "--chown=", "--", ",", "80-90/udp", "\x00", "\ud800"),
]


def fails(text: str | bytes) -> DockerfileError:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    with pytest.raises(DockerfileError) as caught:
        parse(data, file="some/Dockerfile")
    return caught.value


def test_stages_and_global_arguments() -> None:
    found = parse(
        b"ARG v=1\nARG w\n# base is where it begins\nFROM a:$v AS Base\nRUN x\n\n"
        b"FROM --platform=linux/arm64 base\nCOPY --from=Base /a /b\nENV c=d\n"
    )
    assert [argument.key for arg in found.arguments for argument in arg.arguments] == ["v", "w"]
    first, second = found.stages
    assert (first.index, first.name, first.base, first.platform) == (0, "base", "a:$v", "")
    assert first.description == "is where it begins"
    assert first.span == Span(4, 5)
    assert (second.name, second.base, second.platform) == ("", "base", "linux/arm64")
    assert [type(each) for each in second.instructions] == [Copy, Env]
    assert second.span == Span(7, 9)
    assert found.line(4) == "FROM a:$v AS Base"
    assert found.line(99) == ""


def test_arg_after_from_belongs_to_the_stage() -> None:
    found = parse(b"FROM a\nARG b\n")
    assert found.arguments == ()
    assert isinstance(found.stages[0].instructions[0], Arg)


def test_only_arguments_make_no_build() -> None:
    assert fails("ARG a\n").message == "dockerfile contains no stages to build"


def test_instruction_before_from() -> None:
    error = fails("ARG a\nRUN b\nFROM c\n")
    assert (error.message, error.line) == ("no build stage in current context", 2)
    assert error.hint == "only ARG may stand before the first FROM, not RUN"


@pytest.mark.parametrize("text", ["", "\n", "# only\n#comments", "\ufeff", " \t \n"])
def test_nothing_there(text: str) -> None:
    assert fails(text).message == "file with no instructions"


@pytest.mark.parametrize(
    ("text", "message", "line", "column", "hint"),
    [
        ("FROM a\nRUM b", "unknown instruction: RUM", 2, 1, "did you mean RUN?"),
        ("from a\n  cop b c", "unknown instruction: cop", 2, 3, "did you mean copy?"),
        ("FROM a\nXYZZY b", "unknown instruction: XYZZY", 2, 1, None),
        ("FROM a\nCOPY --form=x b c", "unknown flag: --form", 2, 6, "did you mean --from?"),
        ("FROM a\nCOPY --link \\\n  --chwon=1 b c", "unknown flag: --chwon", 3, 3, "did you mean --chown?"),
        ("FROM a\nRUN --network=hots x", 'invalid network mode "hots"', 2, 15, "did you mean host?"),
        ("FROM a\nRUN --security=x y", 'security "x" is not valid', 2, 16, None),
        ("FROM a\nRUN --device=x y", "RUN --device is not supported", 2, 5, None),
        ("FROM a AS 1b", 'invalid name for build stage: "1b", name can\'t start with a number or contain symbols', 1, 11, None),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1, 1, None),
        ("# syntax=a\n# syntax=b\nFROM a", "only one syntax parser directive can be used", 2, 1, None),
        ("FROM a\nRUN <<EOF\nx\n", "unterminated heredoc", 2, 1, "end it by a line that holds EOF alone"),
        ("FROM a\nCOPY x <<EOF\nEOF\n", "COPY cannot accept a heredoc as a destination", 2, 8, None),
        ("FROM a\nSHELL bash -c", "SHELL requires the arguments to be in JSON form", 2, 1, 'as in SHELL ["/bin/sh", "-c"]'),
        ("FROM a\nENV =b", "ENV names can not be blank", 2, 1, None),
        ("FROM a\nARG =b", "ARG names can not be blank", 2, 5, None),
        ('FROM a\nVOLUME [""]', "VOLUME specified can not be an empty string", 2, 1, None),
        ("FROM a\nARG --x b", "unknown flag: --x", 2, 5, None),
        ("FROM a\nSTOPSIGNAL --x 9", "unknown flag: --x", 2, 12, None),
        ("FROM --platform a", "missing a value on flag: --platform", 1, 6, None),
        ("FROM --platform=a --platform=b c", "duplicate flag specified: --platform", 1, 6, None),
        ("FROM a\nCOPY --link=maybe b c", "expecting boolean value for flag --link, not: maybe", 2, 6, None),
        ("FROM a\nCOPY --link= b c", "missing a value on flag: --link", 2, 6, None),
    ],
)  # fmt: skip
def test_place_and_hint(text: str, message: str, line: int, column: int, hint: str | None) -> None:
    error = fails(text)
    assert (error.message, error.line, error.column, error.hint) == (message, line, column, hint)
    assert error.file == "some/Dockerfile"
    assert error.source == text.split("\n")[line - 1]
    assert str(error) == f"some/Dockerfile:{line}: {message}"


def test_line_numbers_count_carriage_returns_as_text() -> None:
    assert fails("FROM a\r\n\r\nFOO b\r\n").line == 3
    assert fails("FROM a\r\n\r\nFOO b\r\n").source == "FOO b"


def test_bytes_that_are_not_utf8() -> None:
    label = parse(b"FROM a\nMAINTAINER Jos\xe9\nLABEL a=\xe9\n# \xe9\nCOPY <<E /x\n\xe9\nE\n")
    maintainer, pairs, copy = label.stages[0].instructions
    assert maintainer.author == "Jos\ufffd"  # type: ignore[attr-defined]
    assert pairs.pairs[0].value == "\ufffd"  # type: ignore[attr-defined]
    assert isinstance(copy, Copy)
    assert copy.contents[0].content.encode("utf-8", "surrogateescape") == b"\xe9\n"
    for text in (b"FROM a\nRUN \xe9", b"FROM a\nRUN <<E\n\xe9\nE\n", b"FROM a\nENV a=b\xe9 "):
        if text.endswith(b" "):
            continue
        assert "not UTF-8" in fails(text).message


def test_control_characters_do_not_reach_the_terminal() -> None:
    error = fails("FROM a\n\x1b[31mRUN b")
    assert "\x1b" not in str(error)
    assert error.source == "\ufffd[31mRUN b"


def test_heredocs_of_run() -> None:
    found = parse(b"FROM a\nRUN cat <<A 3<<-'B' >c\n1\nA\n\t$x\n\tB\nRUN d\n")
    run, last = found.stages[0].instructions
    assert isinstance(run, Run)
    assert run.span == Span(2, 6)
    assert run.command.text == "cat <<A 3<<-'B' >c"
    assert run.command.shell
    assert [(h.name, h.text, h.expand, h.descriptor) for h in run.heredocs] == [
        ("A", "1\n", True, 0),
        ("B", "$x\n", False, 3),
    ]
    assert last.span == Span(7, 7)


def test_comments_belong_to_the_instruction_below() -> None:
    found = parse(b"# one\n#\n# two\nFROM a\n# three\nRUN b \\\n # inside\n c\n# end\n")
    assert found.stages[0].from_.comments == ("two",)
    assert found.stages[0].instructions[0].comments == ("three",)


def test_trigger_is_parsed() -> None:
    trigger = parse_trigger("COPY <<A /x\nhello\nA", file="f", span=Span(7, 7))
    assert isinstance(trigger, Copy)
    assert trigger.span == Span(7, 7)
    assert trigger.contents[0].content == "hello\n"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("FROM a", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("FOO", "unknown instruction: FOO"),
        ("", "file with no instructions"),
    ],
)
def test_bad_trigger(expression: str, message: str) -> None:
    with pytest.raises(DockerfileError, match="in the trigger") as caught:
        parse_trigger(expression, file="f", span=Span(7, 7))
    assert caught.value.message.startswith(message)
    assert (caught.value.file, caught.value.line) == ("f", 7)


def test_chained_onbuild_does_not_exhaust_the_stack() -> None:
    assert "Chaining ONBUILD" in fails("FROM a\n" + "ONBUILD " * 5000 + "RUN b").message


def test_deep_json_does_not_exhaust_the_stack() -> None:
    found = parse(("FROM a\nCMD " + "[" * 30000).encode())
    assert len(found.stages) == 1


def harmless(data: bytes) -> None:
    """Parse and expand; nothing but a DockerfileError that names a line may come out."""
    try:
        found = parse(data)
        for stage in found.stages:
            for instruction in (stage.from_, *stage.instructions):
                expand_instruction(instruction, {"a": "b"}, found.directives.escape)
    except DockerfileError as error:
        assert error.line is not None
        assert "\n" not in str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_harmless(data: bytes) -> None:
    harmless(data)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25))
@example(["FROM a\n", "ENV ", "${", "b=c", "}", "\\\n"])
def test_any_mixture_is_harmless(parts: list[str]) -> None:
    harmless(b"FROM a\n" + "".join(parts).encode("utf-8", "surrogatepass"))


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25))
def test_nodes_cover_the_file_in_order(parts: list[str]) -> None:
    data = "".join(parts).encode("utf-8", "surrogatepass")
    try:
        syntax = read_nodes(data)
    except DockerfileError:
        return
    last = 0
    for node in syntax.nodes:
        assert last < node.first <= node.last <= data.count(b"\n") + 1
        last = node.last


@pytest.mark.parametrize(
    ("text", "excerpt"),
    [
        ("FROM a\n  RUUN b\n", "  2:3 |   RUUN b\n      |   ^^^^\n"),
        ("FROM a\nCOPY \\\n\t--form=x b c\n", "  3:2 | \t--form=x b c\n      | \t^^^^^^\n"),
        ("FROM a\nENV b\n", "  2:1 | ENV b\n      | ^^^^^\n"),
        ("", ""),
    ],
)
def test_what_is_wrong_is_underlined(text: str, excerpt: str) -> None:
    assert fails(text).excerpt() == excerpt
