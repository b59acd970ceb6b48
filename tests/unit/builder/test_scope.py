"""The scopes of ARG and ENV."""

from __future__ import annotations

from fastlayer.oci.platform import host_platform

from tests.unit.builder.planning import last_run, names, plan, target


def environment(text: str, **options: object) -> dict[str, str]:
    return dict(last_run(target(text, **options)).environment)


def test_global_arguments_count_in_from_and_must_be_declared_again() -> None:
    text = "ARG BASE=debian V=1\nFROM $BASE\nRUN a\nARG V\nRUN b\n"
    assert environment(text)["V"] == "1"
    assert environment(text, build_args={"V": "2"})["V"] == "2"
    undeclared = environment("ARG V=1\nFROM debian\nRUN a\n")
    assert "V" not in undeclared


def test_a_stage_default_wins_over_the_global_and_build_arg_over_both() -> None:
    text = "ARG V=1\nFROM debian\nARG V=2\nRUN a\n"
    assert environment(text)["V"] == "2"
    assert environment(text, build_args={"V": "3"})["V"] == "3"


def test_the_later_one_of_env_and_arg_wins() -> None:
    assert environment("FROM debian\nARG V=a\nENV V=e\nRUN x\n")["V"] == "e"
    assert environment("FROM debian\nENV V=e\nARG V=a\nRUN x\n")["V"] == "a"
    assert environment("FROM debian\nENV V=e\nARG V\nRUN x\n")["V"] == "e"
    assert environment("FROM debian\nENV V=e\nARG V\nRUN x\n", build_args={"V": "b"})["V"] == "b"
    assert environment("FROM debian AS a\nENV V=e\nARG V=a\nFROM a\nRUN x\n")["V"] == "e"
    stage = target("FROM debian\nENV V=e\nARG V=a\nRUN x\nENV W=$V\n")
    assert last_run(stage).created_by == "RUN |1 V=a /bin/sh -c x # buildkit"
    assert (stage.runtime.environment()["V"], stage.runtime.environment()["W"]) == ("e", "a")


def test_defaults_see_what_stands_before_them() -> None:
    assert environment("FROM debian\nARG A=1\nARG B=${A}2\nRUN x\n")["B"] == "12"
    assert environment("ARG A=1\nARG B=${A}2\nFROM debian\nARG B\nRUN x\n")["B"] == "12"


def test_one_instruction_is_one_snapshot() -> None:
    stage = target("FROM debian\nENV abc=hello\nENV abc=bye def=$abc\nRUN x\n")
    assert stage.runtime.environment()["def"] == "hello"


def test_a_child_stage_inherits_arguments() -> None:
    text = "FROM debian AS a\nARG V=1 W\nFROM a\nRUN x\n"
    assert environment(text)["V"] == "1"
    assert last_run(target(text)).created_by == "RUN /bin/sh -c x # buildkit"
    again = last_run(target("FROM debian AS a\nARG V=1 W\nFROM a\nARG U=2\nARG V\nRUN x\n"))
    assert again.created_by == "RUN |2 U=2 V=1 /bin/sh -c x # buildkit"


def test_platform_arguments() -> None:
    found = environment("FROM debian\nARG TARGETPLATFORM\nARG TARGETARCH\nARG TARGETSTAGE\nRUN x\n")
    assert found["TARGETPLATFORM"] == str(host_platform())
    assert found["TARGETARCH"] == host_platform().architecture
    assert found["TARGETSTAGE"] == "default"
    assert "TARGETARCH" not in environment("FROM debian\nRUN x\n")


def test_proxies_show_in_history_only_when_declared() -> None:
    given = {"build_args": {"http_proxy": "p"}}
    hidden = last_run(target("FROM debian\nRUN x\n", **given))
    assert hidden.hidden_environment == (("http_proxy", "p"),)
    assert hidden.created_by == "RUN /bin/sh -c x # buildkit"
    shown = last_run(target("FROM debian\nARG http_proxy\nRUN x\n", **given))
    assert shown.hidden_environment == ()
    assert shown.created_by == "RUN |1 http_proxy=p /bin/sh -c x # buildkit"


def test_unused_build_arguments_are_told() -> None:
    made = plan("FROM debian\nARG A\nRUN x\n", build_args={"A": "1", "TYPO": "2", "NO_PROXY": "3"})
    assert made.warnings == (("build arguments that no ARG of the target declares: TYPO", 0),)


def test_from_names_are_expanded() -> None:
    made = plan("ARG V=de\nFROM ${V}bian AS b\nRUN a\nFROM b\nRUN c\n")
    assert names(made.stages[1]) == ["[stage-1 1/1] RUN c"]
