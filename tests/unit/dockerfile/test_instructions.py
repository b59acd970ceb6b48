"""Each instruction's fields, from its text."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from typing import Any

import pytest
from fastlayer.dockerfile import (
    Add,
    Arg,
    Argument,
    Cmd,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    InlineFile,
    Instruction,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
    parse,
)
from fastlayer.errors import DockerfileError

SECOND = 1_000_000_000


def read(text: str) -> Instruction:
    (instruction,) = parse(f"FROM scratch\n{text}\n".encode()).stages[0].instructions
    return instruction


def message(text: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        read(text)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ("RUN a  b", Run, {"command": CommandLine(("a  b",), shell=True)}),
        ('RUN ["a", "b c"]', Run, {"command": CommandLine(("a", "b c"), shell=False)}),
        ("RUN", Run, {"command": CommandLine((), shell=True)}),
        ("RUN --network=none --security=insecure a", Run, {"network": "none", "security": "insecure"}),
        ("CMD", Cmd, {"command": CommandLine((), shell=True)}),
        ("CMD []", Cmd, {"command": CommandLine((), shell=False)}),
        ("ENTRYPOINT a", Entrypoint, {"command": CommandLine(("a",), shell=True)}),
        ('CMD ["a", 1e999]', Cmd, {"command": CommandLine(('["a", 1e999]',), shell=True)}),
        ('CMD ["\\ud800"]', Cmd, {"command": CommandLine(("\ufffd",), shell=False)}),
        ("COPY a b c/", Copy, {"sources": ("a", "b"), "destination": "c/", "from_": ""}),
        ('COPY ["a b", "c"]', Copy, {"sources": ("a b",), "destination": "c"}),
        (
            "COPY --from=s --chown=1:2 --chmod=u=rwX,go=rX --link --parents --exclude=*.o --exclude=!x a b",
            Copy,
            {"from_": "s", "chown": "1:2", "chmod": "u=rwX,go=rX", "link": True, "parents": True,
             "exclude": ("*.o", "!x")},
        ),
        ("COPY --link=false a b", Copy, {"link": False}),
        ("COPY -- --a b", Copy, {"sources": ("--a",)}),
        (
            "COPY <<-A x <<'B' /d/\n\t$1\nA\n$2\nB",
            Copy,
            {"sources": ("x",), "contents": (InlineFile(name="A", content="$1\n", expand=True),
                                             InlineFile(name="B", content="$2\n", expand=False))},
        ),
        (
            "ADD --checksum=sha256:0 --keep-git-dir --unpack=false https://x /y",
            Add,
            {"checksum": "sha256:0", "keep_git_dir": True, "unpack": False, "sources": ("https://x",)},
        ),
        ("ADD a b", Add, {"unpack": None, "keep_git_dir": None, "checksum": ""}),
        ("ENV a=b c='d e'", Env, {"pairs": (KeyValue("a", "b"), KeyValue("c", "'d e'"))}),
        ("ENV a  b c=d", Env, {"pairs": (KeyValue("a", "b c=d", legacy=True),)}),
        ("LABEL a.b=c", Label, {"pairs": (KeyValue("a.b", "c"),)}),
        ("ARG a b=c d=", Arg, {"arguments": (Argument(key="a"), Argument(key="b", default="c"), Argument(key="d", default=""))}),
        ("WORKDIR a b", Workdir, {"path": "a b"}),
        ("USER a:b", User, {"user": "a:b"}),
        ("EXPOSE 80 443/udp 8", Expose, {"ports": ("443/udp", "8", "80")}),
        ("VOLUME a b", Volume, {"paths": ("a", "b")}),
        ('VOLUME [" a ", "b c"]', Volume, {"paths": ("a", "b c")}),
        ("STOPSIGNAL $x", StopSignal, {"signal": "$x"}),
        ('SHELL ["a", "-c"]', Shell, {"words": ("a", "-c")}),
        ("MAINTAINER a <b@c>", Maintainer, {"author": "a <b@c>"}),
        ("HEALTHCHECK NONE", Healthcheck, {"test": ("NONE",)}),
        ("HEALTHCHECK CMD a b", Healthcheck, {"test": ("CMD-SHELL", "a b")}),
        (
            'HEALTHCHECK --interval=1m30s --timeout=2s --start-period=1.5h --start-interval=5ms --retries=4 cmd ["a"]',
            Healthcheck,
            {"test": ("CMD", "a"), "interval": 90 * SECOND, "timeout": 2 * SECOND,
             "start_period": 5400 * SECOND, "start_interval": SECOND // 200, "retries": 4},
        ),
    ],
)  # fmt: skip
def test_fields(text: str, kind: type[Instruction], fields: dict[str, Any]) -> None:
    instruction = read(text)
    assert isinstance(instruction, kind)
    assert {name: getattr(instruction, name) for name in fields} == fields
    assert instruction.name == text.split()[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("HEALTHCHECK NONE a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK --interval=1s NONE", "HEALTHCHECK NONE takes no flags"),
        ("HEALTHCHECK CONNECT", 'Unknown type "CONNECT" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=5 CMD a", 'time: missing unit in duration "5"'),
        ("HEALTHCHECK --interval=5x CMD a", 'time: unknown unit "x" in duration "5x"'),
        ("HEALTHCHECK --interval=-5s CMD a", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=many CMD a", '--retries is not a number: "many"'),
        ("ONBUILD MAINTAINER a", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ('COPY ["a"]', "COPY requires at least two arguments, but only one was provided. "
                       "Destination could not be determined"),
        ("RUN --mount=from=$x,target=/a b",
         "'from' doesn't support variable expansion, define alias stage instead"),
        ('RUN --mount=type=bind,\\"a b', 'failed to parse csv mounts: extraneous or missing " in quoted-field'),
        ('RUN --mount=a\\"b c', 'failed to parse csv mounts: bare " in non-quoted-field'),
    ],
)  # fmt: skip
def test_refusals(text: str, wanted: str) -> None:
    assert message(text) == wanted


def test_onbuild_keeps_text_and_trigger() -> None:
    instruction = read("onbuild COPY --chmod=755 <<A /x\n\thi\nA")
    assert isinstance(instruction, Onbuild)
    assert instruction.expression == "COPY --chmod=755 <<A /x\n\thi\nA"
    assert isinstance(instruction.trigger, Copy)
    assert instruction.trigger.chmod == "755"
    assert instruction.trigger.span == instruction.span


def test_onbuild_tells_what_is_wrong_inside() -> None:
    with pytest.raises(DockerfileError) as caught:
        read("ONBUILD COPY --form=a b c")
    assert caught.value.message.startswith("unknown flag: --form")
    assert (caught.value.line, caught.value.hint) == (2, "did you mean --from?")


def test_stage_number_in_mount_from_may_hold_a_lone_dollar() -> None:
    run = read("RUN --mount=from=x$,target=/a b")
    assert isinstance(run, Run)
    assert run.mount_flags[0].from_ == "x$"
