"""Plans: which stages, in which order, with which words; and what is refused."""

from __future__ import annotations

import pytest
from fastlayer.builder.graph import FileStep, FromContext, FromImage, FromStage, RunStep
from fastlayer.builder.options import Secret
from fastlayer.builder.plan import DEFAULT_PATH
from fastlayer.errors import BuildError, DockerfileError
from fastlayer.oci.config import RuntimeConfig
from fastlayer.value import replace

from tests.unit.builder.planning import DEBIAN, Images, history, last_run, names, plan, target


def test_only_what_the_target_needs() -> None:
    images = Images({"debian": DEBIAN})
    made = plan(
        "FROM debian AS tools\nRUN make\n"
        "FROM nowhere AS unused\nRUN x\n"
        "FROM debian AS assets\nCOPY --from=tools /t /t\n"
        "FROM scratch\nCOPY --from=assets /a /a\nCOPY --from=0 /b /b\n",
        images=images,
    )
    assert list(made.stages) == [0, 2, 3]
    assert images.asked == ["debian", "debian"]
    assert made.stages[3].dependencies() == {0, 2}
    assert made.stages[2].dependencies() == {0}


def test_target_by_name_and_number() -> None:
    text = "FROM debian AS Build\nRUN a\nFROM debian\nRUN b\n"
    assert plan(text, target="build").target == 0
    assert plan(text, target="BUILD").target == 0
    assert plan(text, target="1").target == 1
    with pytest.raises(BuildError, match="there is no stage biuld") as caught:
        plan(text, target="biuld")
    assert caught.value.hint == "did you mean build?"


def test_steps_are_numbered_as_docker_does() -> None:
    one = target("FROM debian\nRUN a\nENV x=1\nWORKDIR /w\nWORKDIR /\n")
    assert one.base_text == "[1/3] FROM docker.io/library/debian:latest"
    assert names(one) == ["[2/3] RUN a", "[3/3] WORKDIR /w"]
    many = plan("FROM debian AS b\nRUN a\nFROM scratch\nCOPY --from=b /x /\nFROM b\nRUN c\n")
    assert many.stages[0].base_text == "[b 1/2] FROM docker.io/library/debian:latest"
    assert names(many.stages[2]) == ["[stage-2 1/1] RUN c"]
    assert plan("FROM debian\n" + "RUN a\n" * 10).stages[0].base_text.startswith("[ 1/11] ")


def test_history_lines() -> None:
    stage = target(
        "FROM debian\nARG A=1 B\nENV X=$A Y=2\nLABEL k=v\nEXPOSE 80 5000-5001/udp\nUSER app\n"
        'VOLUME /data\nSTOPSIGNAL SIGTERM\nSHELL ["/bin/bash", "-c"]\nRUN make $A\n'
        'RUN ["ls", "-la"]\nCMD echo hi\nENTRYPOINT ["run"]\nMAINTAINER Foo <f@x>\n'
        "WORKDIR /w\nWORKDIR sub\nCOPY --chown=1:2 --chmod=0644 a b c/\nONBUILD RUN x\n"
        "HEALTHCHECK --interval=5m --timeout=3s CMD curl -f x\n",
        build_args={"B": "two"},
    )
    assert history(stage) == [
        "ARG A=1 B=two",
        "ENV X=1 Y=2",
        "LABEL k=v",
        "EXPOSE [5000/udp 5001/udp 80/tcp]",
        "USER app",
        "VOLUME [/data]",
        "STOPSIGNAL SIGTERM",
        "SHELL [/bin/bash -c]",
        "RUN |2 A=1 B=two /bin/bash -c make $A # buildkit",
        "RUN |2 A=1 B=two ls -la # buildkit",
        'CMD ["/bin/bash" "-c" "echo hi"]',
        'ENTRYPOINT ["run"]',
        "MAINTAINER Foo <f@x>",
        "WORKDIR /w",
        "WORKDIR /w/sub",
        "COPY --chown=1:2 --chmod=0644 a b c/ # buildkit",
        "HEALTHCHECK {Test:[CMD-SHELL curl -f x] Interval:5m0s Timeout:3s StartPeriod:0s"
        " StartInterval:0s Retries:0}",
    ]
    assert stage.config.author == "Foo <f@x>"
    assert stage.runtime.on_build == ("RUN x",)
    assert stage.runtime.args_escaped


def test_entrypoint_drops_the_inherited_command_only() -> None:
    assert target('FROM debian\nENTRYPOINT ["x"]\n').runtime.cmd is None
    assert target('FROM debian\nCMD ["own"]\nENTRYPOINT ["x"]\n').runtime.cmd == ("own",)
    child = target('FROM debian AS a\nCMD ["own"]\nFROM a\nENTRYPOINT ["x"]\n')
    assert child.runtime.cmd is None


def test_scratch_has_a_path_and_a_directory() -> None:
    runtime = target("FROM scratch\nENV A=1\n").runtime
    assert runtime.env == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "A=1",
    )
    assert runtime.working_dir == "/"


def test_labels_of_the_command_line_win_and_write_no_history() -> None:
    stage = target("FROM debian\nLABEL a=1 b=2\n", labels={"b": "3", "c": "4"})
    assert stage.runtime.labels == {"a": "1", "b": "3", "c": "4"}
    assert history(stage) == ["LABEL a=1 b=2"]


def test_onbuild_runs_in_the_child_and_is_gone() -> None:
    base = replace(DEBIAN, config=RuntimeConfig(on_build=("COPY . /src", "RUN make", "ENV DONE=1")))
    stage = target("FROM debian\nRUN after\n", images=Images({"debian": base}))
    assert names(stage) == [
        "[2/4] ONBUILD COPY . /src",
        "[3/4] ONBUILD RUN make",
        "[4/4] RUN after",
    ]
    assert stage.runtime.on_build == ()
    assert stage.runtime.environment()["DONE"] == "1"


def test_copy_words() -> None:
    (step,) = target("FROM debian\nWORKDIR /w\nENV D=dir\nCOPY a $D/\n").steps[-1:]
    assert isinstance(step, FileStep)
    assert (step.sources, step.destination, step.origin) == (("a",), "/w/dir/", FromContext())
    (dot,) = target("FROM debian\nWORKDIR /w\nADD a .\n").steps[-1:]
    assert isinstance(dot, FileStep)
    assert dot.destination == "/w/"
    assert dot.unpack
    (up,) = target("FROM debian\nWORKDIR /w/x\nCOPY a ../b\n").steps[-1:]
    assert isinstance(up, FileStep)
    assert up.destination == "/w/b"
    (inline,) = target(
        "FROM debian\nENV A=1\nCOPY <<one <<'two' /d/\na $A\none\nb $A\ntwo\n"
    ).steps[-1:]
    assert isinstance(inline, FileStep)
    assert inline.contents == (("one", b"a 1\n"), ("two", b"b $A\n"))


def test_where_files_come_from() -> None:
    stage = target("FROM debian AS a\nFROM scratch\nCOPY --from=a x /\nCOPY --from=debian y /\n")
    first, second = stage.steps
    assert isinstance(first, FileStep)
    assert first.origin == FromStage(0)
    assert isinstance(second, FileStep)
    assert isinstance(second.origin, FromImage)
    assert second.origin.image.chain == ("sha256:base",)


def test_run_sees_environment_and_arguments() -> None:
    stage = target(
        "FROM debian\nRUN early\nARG A=1\nARG BASE=no\nARG UNSET\nENV B=2\nUSER app\nWORKDIR /w\n"
        "RUN late\n",
        build_args={"HTTP_PROXY": "http://p", "A": "given"},
    )
    early = next(step for step in stage.steps if isinstance(step, RunStep))
    assert dict(early.environment) == {"PATH": "/bin", "BASE": "yes"}
    late = last_run(stage)
    assert dict(late.environment) == {"PATH": "/bin", "BASE": "no", "A": "given", "B": "2"}
    assert late.hidden_environment == (("HTTP_PROXY", "http://p"),)
    assert (late.user, late.working_directory) == ("app", "/w")
    assert late.created_by == "RUN |3 A=given BASE=no UNSET= /bin/sh -c late # buildkit"


def test_run_heredocs() -> None:
    sole = last_run(target("FROM debian\nRUN <<EOF\nset -e\nmake\nEOF\n"))
    assert sole.arguments == ("/bin/sh", "-c", "set -e\nmake\n")
    assert sole.name.endswith("RUN <<EOF (set -e...)")
    tabs = last_run(target("FROM debian\nRUN <<-EOF\n\tmake\nEOF\n"))
    assert tabs.arguments[-1] == "make\n"
    script = last_run(target("FROM debian\nRUN <<EOF\n#!/bin/cat\nx\nEOF\n"))
    assert script.arguments == ("/bin/sh", "-c", "/dev/pipes/EOF")
    assert script.script is not None
    assert script.script.content == b"#!/bin/cat\nx\n"
    mixed = last_run(target("FROM debian\nRUN cat <<EOF > /f && cat <<B\na\nEOF\nb\nB\n"))
    assert mixed.arguments[-1] == "cat <<EOF > /f && cat <<B\na\nEOF\nb\nB"


def test_run_mounts_and_network() -> None:
    stage = target(
        "FROM debian AS a\nFROM debian\nWORKDIR /w\n"
        "RUN --mount=type=bind,from=a,target=in --mount=type=cache,target=/c --network=none x\n"
        "RUN y\n",
        network="host",
    )
    first, last = (step for step in stage.steps if isinstance(step, RunStep))
    assert [(mount.target, mount.origin) for mount in first.mounts] == [
        ("/w/in", FromStage(0)),
        ("/c", None),
    ]
    assert (first.network, last.network) == ("none", "host")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "FROM debian\nRUN --security=insecure x\n",
            "RUN --security=insecure is not allowed",
        ),
        (
            "FROM debian\nRUN --mount=type=ssh,required x\n",
            "Dockerfile:2: the SSH agent default is required",
        ),
        ("FROM debian\nRUN --mount=type=tmpfs,target=/ x\n", "the target cannot be /"),
        (
            "FROM debian\nRUN --mount=type=secret,id=s,required=true x\n",
            "Dockerfile:2: the secret s is required and was not given",
        ),
        ("FROM debian\nADD --checksum=sha256:" + "0" * 64 + " a /\n", "checksum requires HTTP"),
        (
            "FROM debian\nCOPY --from=later x /\nFROM debian AS later\nCOPY --from=0 / /\n",
            "Dockerfile:2: COPY --from=later: later comes after this stage",
        ),
        ("FROM debian\nCOPY --chmod=rw a /\n", "Dockerfile:2: invalid chmod parameter"),
        ("FROM debian AS me\nCOPY --from=me x /\n", "me is this stage itself"),
        ("FROM debian\nCOPY --from=3 x /\n", "COPY --from=3: there is no stage 3"),
        ("FROM missing:1\n", "Dockerfile:1: image docker.io/library/missing:1 is not in the store"),
        ("ARG X\nFROM $X\n", "the name is empty after expansion"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        plan(text)
    assert message in str(caught.value)


def test_hints() -> None:
    with pytest.raises(DockerfileError) as caught:
        plan("FROM debian:bookworm\n", images=Images({}))
    assert str(caught.value) == (
        "Dockerfile:1: image docker.io/library/debian:bookworm is not in the store"
    )
    assert caught.value.hint == (
        "skopeo copy docker://docker.io/library/debian:bookworm "
        "oci-archive:x.tar:docker.io/library/debian:bookworm"
        " && fastlayer load -i x.tar"
    )
    with pytest.raises(DockerfileError) as caught:
        plan("FROM debian AS builder\nFROM bulder\n")
    assert caught.value.hint == "did you mean builder?"


def test_a_given_secret_is_no_error() -> None:
    text = "FROM debian\nRUN --mount=type=secret,id=s,required=true x\n"
    stage = target(text, secrets={"s": Secret("s", b"x")})
    assert last_run(stage).mounts[0].target == "/run/secrets/s"


def test_foreign_platforms_build_without_run() -> None:
    from fastlayer.oci.platform import Platform

    foreign = Platform("linux", "s390x")
    stage = target("FROM scratch\nCOPY a /\n", platform=foreign)
    assert stage.config.platform == foreign
    with pytest.raises(DockerfileError, match="RUN for linux/s390x cannot run on this machine"):
        target("FROM scratch\nRUN a\n", platform=foreign)


def test_a_base_without_a_path_gets_one() -> None:
    """An imported tar has none: ``ENV PATH=/opt/bin:$PATH`` left nothing but ``/opt/bin:``."""
    bare = replace(DEBIAN, config=RuntimeConfig(env=("BASE=yes",)))
    made = plan("FROM bare\nENV PATH=/opt/bin:$PATH\n", images=Images({"bare": bare}))
    stage = made.stages[made.target]
    assert stage.config.config.env == ("BASE=yes", f"PATH=/opt/bin:{DEFAULT_PATH}")
