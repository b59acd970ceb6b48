# ruff: noqa: E501  (tables read better with a case a line)
"""The build checks: each rule where it applies and where it does not."""

from __future__ import annotations

import pytest
from fastlayer.dockerfile import parse
from fastlayer.dockerfile.lint import (
    RULES,
    BaseImage,
    CheckOptions,
    Facts,
    Result,
    check,
    check_data,
    parse_check_options,
)
from fastlayer.dockerfile.lint.base_checks import is_reference
from fastlayer.errors import DockerfileError
from hypothesis import given
from hypothesis import strategies as st

PLAIN = BaseImage(environment={"PATH": "/bin"}, platform="linux/amd64")


def run(text: str, facts: Facts | None = None, options: CheckOptions | None = None) -> Result:
    facts = facts or Facts(base=lambda name, platform: PLAIN)
    return check(parse(text.encode()), facts, options)


def found(text: str, facts: Facts | None = None) -> list[tuple[str, int, str]]:
    result = run(text, facts)
    assert result.error is None
    return [(each.rule.name, each.span.first, each.message) for each in result.findings]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM a AS BuilderBase", [("StageNameCasing", 1, "Stage name 'BuilderBase' should be lowercase")]),
        ("FROM a as b", [("FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match")]),
        ("from a AS b", [("FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match")]),
        ("from a as b", []),
        ("FROM a\nRUN b \\\n\n c", [("NoEmptyContinuation", 4, "Empty continuation line")]),
        ("FROM a\nRUN b \\\n# d\n c", []),
        ("FROM a\nRUN b\nrun c", [("ConsistentInstructionCasing", 3, "Command 'run' should match the case of the command majority (uppercase)")]),
        ("from a\nrun b\nRUN c", [("ConsistentInstructionCasing", 3, "Command 'RUN' should match the case of the command majority (lowercase)")]),
        ("FROM a\nRun b", [("ConsistentInstructionCasing", 2, "Command 'Run' should match the case of the command majority (uppercase)")]),
        ("FROM a AS b\nFROM a AS B", [
            ("DuplicateStageName", 2, 'Duplicate stage name "b", stage names should be unique'),
            ("StageNameCasing", 2, "Stage name 'B' should be lowercase"),
        ]),
        ("FROM a AS scratch", [("ReservedStageName", 1, 'Stage name should not use the same name as reserved stage "scratch"')]),
        ("FROM a AS context", [("ReservedStageName", 1, 'Stage name should not use the same name as reserved stage "context"')]),
        ("FROM a\nCMD b\nENTRYPOINT c", [
            ("JSONArgsRecommended", 2, "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
            ("JSONArgsRecommended", 3, "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals"),
        ]),
        ('FROM a\nSHELL ["b"]\nCMD c', []),
        ('FROM a AS b\nSHELL ["b"]\nFROM b\nCMD c', []),
        ("FROM a\nMAINTAINER b", [("MaintainerDeprecated", 2, "Maintainer instruction is deprecated in favor of using label")]),
        ("ARG VERSION=1\nFROM a:${VERISON}x", [("UndefinedArgInFrom", 2, "FROM argument 'VERISON' is not declared (did you mean VERSION?)")]),
        ("ARG V\nFROM a:${V}x", []),
        ("FROM --platform=$BUILDPLATFORM a", []),
        ("FROM a\nWORKDIR b\nWORKDIR c", [("WorkdirRelativePath", 2, 'Relative workdir "b" can have unexpected results if the base image changes')]),
        ("FROM a\nWORKDIR /b\nWORKDIR c", []),
        ("FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c", []),
        ("FROM a\nCOPY $foo .", [("UndefinedVar", 2, "Usage of undefined variable '$foo'")]),
        ("FROM a\nENV PATH=$PAHT:/b", [("UndefinedVar", 2, "Usage of undefined variable '$PAHT' (did you mean $PATH?)")]),
        ("FROM a\nARG foo\nCOPY $foo .", []),
        ("ARG foo=1\nFROM a\nCOPY $foo .", [("UndefinedVar", 3, "Usage of undefined variable '$foo'")]),
        ("FROM a\nENV b=1 c=$b", [("UndefinedVar", 2, "Usage of undefined variable '$b'")]),
        ("FROM a AS x\nENV b=1\nARG d\nFROM x\nCOPY $b $d /", []),
        ("FROM scratch\nENV b=$PATH", []),
        ("FROM a\nARG b=$c", [("UndefinedVar", 2, "Usage of undefined variable '$c'")]),
        ("FROM a\nRUN echo $foo", []),
        ("FROM a\nCOPY <<E <<'F' /\n$x\nE\n$y\nF", [("UndefinedVar", 2, "Usage of undefined variable '$x'")]),
        ('FROM a\nCMD ["b"]\nCMD ["c"]\nHEALTHCHECK NONE\nHEALTHCHECK CMD b', [
            ("MultipleInstructionsDisallowed", 2, "Multiple CMD instructions should not be used in the same stage because only the last one will be used"),
            ("MultipleInstructionsDisallowed", 4, "Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used"),
        ]),
        ('FROM a AS x\nCMD ["b"]\nFROM x\nCMD ["c"]', []),
        ("FROM a\nENV b c\nLABEL d e", [
            ("LegacyKeyValueFormat", 2, '"ENV key=value" should be used instead of legacy "ENV key value" format'),
            ("LegacyKeyValueFormat", 3, '"LABEL key=value" should be used instead of legacy "LABEL key value" format'),
        ]),
        ("FROM --platform=$TARGETPLATFORM a", [("RedundantTargetPlatform", 1, "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior")]),
        ("FROM --platform=linux/$TARGETARCH a", []),
        ("FROM --platform=linux/amd64 a", [("FromPlatformFlagConstDisallowed", 1, 'FROM --platform flag should not use constant value "linux/amd64"')]),
        ("FROM --platform=linux/amd64 a AS b-amd64", []),
        ("FROM a\nARG API_TOKEN\nENV GITHUB_SECRET=x PUBLIC_KEY=y KEY_FILE=z MONKEY=1", [
            ("SecretsUsedInArgOrEnv", 2, 'Do not use ARG or ENV instructions for sensitive data (ARG "API_TOKEN")'),
            ("SecretsUsedInArgOrEnv", 3, 'Do not use ARG or ENV instructions for sensitive data (ENV "GITHUB_SECRET")'),
        ]),
        ("ARG TAG\nFROM busybox:${TAG}", [("InvalidDefaultArgInFrom", 2, "Default value for ARG busybox:${TAG} results in empty or invalid base image name")]),
        ("ARG TAG\nFROM busybox:${TAG:-latest}", []),
        ("FROM a\nEXPOSE 80/TcP", [("ExposeProtoCasing", 2, "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase")]),
        ("FROM a\nEXPOSE 127.0.0.1:80:80 90:91 92", [
            ("ExposeInvalidFormat", 2, "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'"),
            ("ExposeInvalidFormat", 2, "EXPOSE instruction should not define an IP address or host-port mapping, found '90:91'"),
        ]),
    ],
)  # fmt: skip
def test_rule(text: str, wanted: list[tuple[str, int, str]]) -> None:
    assert found(text) == wanted


def test_descriptions_are_checked_when_asked_for() -> None:
    text = "# what it is\nARG a\n# b is fine\nFROM x AS b\n# also wrong\nARG c d\n"
    assert found(text) == []
    result = run(text, options=parse_check_options("experimental=all"))
    assert [(each.rule.name, each.span.first, each.message) for each in result.findings] == [
        (
            "InvalidDefinitionDescription",
            2,
            "Comment for ARG should follow the format: `# a <description>`",
        ),
        (
            "InvalidDefinitionDescription",
            6,
            "Comment for ARG should follow the format: `# <arg_key> <description>`",
        ),
    ]
    named = run(text, options=parse_check_options("experimental=InvalidDefinitionDescription"))
    assert len(named.findings) == 2


def test_base_image_platform() -> None:
    arm = BaseImage(environment={}, platform="linux/arm64")
    facts = Facts(base=lambda name, platform: arm)
    assert found("FROM a", facts) == [
        (
            "InvalidBaseImagePlatform",
            1,
            'Base image a was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
        ),
    ]
    assert [each[0] for each in found("FROM --platform=linux/aarch64 a AS linux", facts)] == []


def test_ignored_files() -> None:
    facts = Facts(
        base=lambda name, platform: PLAIN,
        ignore_patterns=("*.log", "tmp"),
        is_ignored=lambda path: path.endswith(".log") or path.split("/")[0] == "tmp",
    )
    text = (
        "FROM a AS x\nCOPY b.log c /\nADD ./tmp/x https://y.log /\nCOPY . /\nCOPY --from=x tmp /\n"
    )
    assert found(text, facts) == [
        ("CopyIgnoredFile", 2, 'Attempting to Copy file "b.log" that is excluded by .dockerignore'),
        ("CopyIgnoredFile", 3, 'Attempting to Add file "tmp/x" that is excluded by .dockerignore'),
    ]
    negated = facts.replace(ignore_patterns=("*.log", "!b.log"))
    assert found(text, negated) == []
    everything = facts.replace(ignore_patterns=("**",), is_ignored=lambda path: True)
    assert (
        "CopyIgnoredFile",
        4,
        'Attempting to Copy file "." that is excluded by .dockerignore',
    ) in found(text, everything)


def test_unknown_base_gives_no_false_alarm() -> None:
    assert found("FROM a AS b\nENV c=$d\nFROM b\nENV e=$f", Facts()) == []


def test_base_image_gives_variables_and_shell() -> None:
    base = BaseImage(environment={"GOPATH": "/go"}, has_shell=True)
    facts = Facts(base=lambda name, platform: base if name == "golang:1" else None)
    assert found("ARG v=1\nFROM golang:$v\nENV a=$GOPATH\nCMD b", facts) == []


def test_build_arguments_count() -> None:
    facts = Facts(base=lambda name, platform: PLAIN, given={"v": "1", "w": "$x"})
    assert found("FROM a\nARG w=$y\nCOPY $w /", facts) == []
    assert found("ARG v\nFROM a:$v", facts) == [
        (
            "InvalidDefaultArgInFrom",
            2,
            "Default value for ARG a:$v results in empty or invalid base image name",
        )
    ]


def test_only_needed_stages_are_visited() -> None:
    text = (
        "FROM a AS unused\nENV u v\nFROM a AS base\nENV b c\nFROM a AS tool\nENV t u\n"
        "FROM a AS other\nENV o p\nFROM base AS final\nCOPY --from=tool /a /b\n"
        "RUN --mount=from=3,target=/x y\nFROM a\nENV l m\n"
    )

    def lines(target: str) -> list[int]:
        return [each[1] for each in found(text, Facts(target=target))]

    assert lines("") == [2, 4, 6, 8, 13]
    assert lines("final") == [4, 6, 8]
    assert lines("tool") == [6]
    assert lines("5") == [13]


def test_options_from_the_file_and_from_comments() -> None:
    assert found("# check=skip=all\nFROM a AS B") == []
    assert found("# check=skip=StageNameCasing,JSONArgsRecommended\nFROM a AS B\nCMD x") == []
    text = "FROM a\n# check=skip=JSONArgsRecommended\nCMD x\n# check=skip=nonsense;\nENTRYPOINT y"
    assert [each[:2] for each in found(text)] == [("JSONArgsRecommended", 5)]


def test_error_option() -> None:
    assert run("# check=error=true\nFROM a AS B").fails
    assert not run("# check=error=true\nFROM a AS b").fails
    assert not run("FROM a AS B").fails


@pytest.mark.parametrize("text", ["x", "skip", "skips=A", "error=maybe", "skip=A;;"])
def test_bad_options(text: str) -> None:
    with pytest.raises(DockerfileError, match="failed to parse check options"):
        parse_check_options(text)


def test_errors_are_kept_beside_findings() -> None:
    result = run("FROM a AS B\nEXPOSE x\nENV c d\nFROM a\nENV e f")
    assert result.error is not None
    assert result.error.message == "invalid containerPort: x"
    assert [each.span.first for each in result.findings] == [1, 5]
    broken = run("FROM a:${x\nMAINTAINER y")
    assert broken.error is not None
    assert [each.rule.name for each in broken.findings] == ["MaintainerDeprecated"]


def test_blank_platform_is_an_error() -> None:
    result = run("FROM --platform=$BULIDPLATFORM scratch")
    assert result.error is not None
    assert result.error.message == "empty platform value from expression $BULIDPLATFORM"
    assert result.error.hint == "did you mean $BUILDPLATFORM?"
    assert [each.rule.name for each in result.findings] == ["UndefinedArgInFrom"]


def test_what_stands_before_an_error_is_checked() -> None:
    result = check_data(b"FROM scratch AS Bad\nMAINTAINER a\nBADCMD\nFROM x AS Worse\n")
    assert str(result.error) == "Dockerfile:3: unknown instruction: BADCMD"
    assert [each.rule.name for each in result.findings] == [
        "StageNameCasing",
        "MaintainerDeprecated",
    ]
    unreadable = check_data(b"FROM a\nENV b\n", file="f")
    assert str(unreadable.error) == "f:2: ENV must have two arguments"
    assert unreadable.findings == ()
    assert check_data(b"FROM a\n").error is None


def test_rules_have_pages() -> None:
    assert len(RULES) == 22
    without = [rule.name for rule in RULES.values() if not rule.url]
    assert without == ["InvalidBaseImagePlatform"]
    assert RULES["UndefinedVar"].url == "https://docs.docker.com/go/dockerfile/rule/undefined-var/"


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        *(
            ("a", True),
            ("a:b", True),
            ("A", False),
            ("a/b/c_d-e.f:1", True),
            ("", False),
            ("a:", False),
        ),
        *(("localhost:5000/a@sha256:" + "0" * 64, True), ("0" * 64, False), ("a..b", False)),
        *(("EXAMPLE.com/a", True), ("a b", False), ("[::1]:5000/a", True)),
    ],
)
def test_reference(name: str, valid: bool) -> None:
    assert is_reference(name) == valid


@given(st.lists(st.sampled_from([
    *("FROM a\n", "FROM a AS B\n", "FROM b\n", "ENV a $b\n", "ENV c=${d:?e}\n", "ARG x=$y\n"),
    *("EXPOSE $p\n", "EXPOSE 1:2:3\n", "CMD x\n", "WORKDIR y\n", "# check=skip=all\n", "# x\n"),
    *("COPY --from=0 a b\n", "RUN --mount=from=b,target=$t x\n", "MAINTAINER z\n", "VOLUME $v\n"),
]), max_size=15))  # fmt: skip
def test_any_file_can_be_checked(parts: list[str]) -> None:
    found = parse(("FROM a\n" + "".join(parts)).encode())
    for facts in (Facts(), Facts(base=lambda name, platform: PLAIN, target="b")):
        lines = [each.span.first for each in check(found, facts).findings]
        assert lines == sorted(lines)
