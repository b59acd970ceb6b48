"""The build checks: alone (``--check``), and at the end of every build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fastlayer.builder import check
from fastlayer.errors import DockerfileError

if TYPE_CHECKING:
    from tests.integration.building import Workshop

ODD = "FROM busybox as x\nCOPY no $UNSET/\nCMD echo\n"


def test_check_prints_what_it_finds_and_fails(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": ODD, ".dockerignore": "no\n", "no": ""})
    done = workshop.command().run("build", "--check", workshop.context, check=False)
    assert done.returncode == 1
    text = done.stdout.decode()
    assert text.startswith(
        "WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n"
        "'as' and 'FROM' keywords' casing do not match\n"
        "Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM busybox as x\n"
        "   2 |     COPY no $UNSET/\n"
        "   3 |     CMD echo\n"
    )
    assert text.endswith("Check complete, 4 warnings have been found!\n")
    for rule in ("CopyIgnoredFile", "UndefinedVar", "JSONArgsRecommended"):
        assert f"WARNING: {rule} - " in text


def test_check_of_a_good_and_of_a_wrong_file(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": 'FROM nowhere/at/all\nCMD ["x"]\n'})
    command = workshop.command()
    assert command.text("build", "--call=check", workshop.context) == (
        "Check complete, no warnings found."
    )
    workshop.write({"Dockerfile": "FROM busybox\nCOPI a /\n"})
    done = command.run("build", "--check", workshop.context, check=False)
    assert done.returncode == 1
    assert "error: Dockerfile:2: unknown instruction: COPI" in done.stderr.decode()
    for call in ("nothing", "check,format=xml", "check,x"):
        done = command.run("build", f"--call={call}", workshop.context, check=False)
        assert (done.returncode, done.stdout) == (125, b"")


def test_check_as_json_and_the_argument_that_says_which(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": ODD, "no": ""})
    done = workshop.command().run(
        *("build", "--call=check,format=json", workshop.context),
        *("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=UndefinedVar,JSONArgsRecommended"),
        check=False,
    )
    (warning,) = json.loads(done.stdout)["warnings"]
    assert (warning["ruleName"], warning["location"]["ranges"][0]["start"]) == (
        "FromAsCasing",
        {"line": 1},
    )


def test_a_build_ends_with_its_warnings(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": ODD, "no": ""})
    done = workshop.command().run("build", workshop.context)
    lines = [line for line in done.stderr.decode().splitlines() if line]
    assert lines[-2].startswith("warning: Dockerfile:3: JSONArgsRecommended: ")
    result = workshop.build(ODD)
    assert [text.split(": ")[:2] for text in result.warnings] == [
        ["Dockerfile:1", "FromAsCasing"],
        ["Dockerfile:2", "UndefinedVar"],
        ["Dockerfile:3", "JSONArgsRecommended"],
    ]
    workshop.write({"Dockerfile": ODD.replace("no ", "missing ")})
    done = workshop.command().run("build", workshop.context, check=False)
    assert done.stderr.decode().count("FromAsCasing") == 1


def test_findings_that_are_errors_and_a_base_that_sets_variables(workshop: Workshop) -> None:
    with pytest.raises(DockerfileError, match="lint violation found for rules: FromAsCasing"):
        workshop.build("# check=error=true\nFROM busybox as x\n")
    workshop.build('FROM busybox\nENV SET=/x\nSHELL ["sh", "-c"]\n', tags="base")
    report = check(
        workshop.context, store=workshop.store, dockerfile=b"FROM base\nWORKDIR $SET\nCMD echo\n"
    )
    assert report.result.findings == ()


ASKED = """\
# VERSION of all of it
ARG VERSION=1
ARG OTHER=x
# base the common part
FROM alpine:$VERSION AS base
ARG PLACE=/opt
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM scratch AS unused
ARG HIDDEN
FROM base
COPY --from=base /a /b
RUN --mount=type=secret,target=/x/netrc --mount=type=ssh,id=git,required true
"""


def test_targets_and_outline(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": ASKED})
    command = workshop.command()
    assert command.text("build", "--call=targets", workshop.context).splitlines() == [
        "TARGET       DESCRIPTION",
        "base         the common part",
        "unused",
        "(default)",
    ]
    told = command.text("build", "--call=outline", "--build-arg=PLACE=/x", workshop.context)
    assert told.splitlines() == [
        "",
        "BUILD ARG    VALUE    DESCRIPTION",
        "VERSION      1        of all of it",
        "PLACE        /x",
        "",
        "SECRET    REQUIRED",
        "token     true",
        "netrc",
        "",
        "SSH        REQUIRED",
        "default",
        "git        true",
    ]
    named = command.text("build", "--call=outline,format=json", "--target=base", workshop.context)
    assert json.loads(named) == {
        "name": "base",
        "description": "the common part",
        "args": [
            {"name": "VERSION", "value": "1", "description": "of all of it"},
            {"name": "PLACE", "value": "/opt", "description": ""},
        ],
        "secrets": [{"name": "token", "required": True}],
        "ssh": [{"name": "default", "required": False}],
    }
    done = command.run("build", "--call=outline", "--target=no", workshop.context, check=False)
    assert "error: Dockerfile: there is no stage no" in done.stderr.decode()
