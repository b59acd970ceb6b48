"""Which parts of which instruction are expanded, and what is checked after."""

# ruff: noqa: E501  (tables read better with a case a line)

from __future__ import annotations

from typing import Any

import pytest
from fastlayer.dockerfile import (
    Argument,
    BindMount,
    CacheMount,
    InlineFile,
    KeyValue,
    Mount,
    Run,
    SecretMount,
    SshMount,
    TmpfsMount,
    expand_instruction,
    expand_instruction_names,
    parse,
)
from fastlayer.errors import DockerfileError

ENVIRONMENT = {"x": "1", "two": "a b", "empty": "", "port": "80-82/UDP", "mode": "0700"}


def expanded(text: str, escape: str = "\\") -> Any:
    found = parse(f"FROM scratch\n{text}\n".encode())
    return expand_instruction(found.stages[0].instructions[0], ENVIRONMENT, escape)


def message(text: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        expanded(text)
    assert caught.value.line == 2
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("ENV x=2 y=$x 'z'=\"$x\"", {"pairs": (KeyValue("x", "2"), KeyValue("y", "1"), KeyValue("z", "1"))}),
        ("ENV a $x  b", {"pairs": (KeyValue("a", "1  b", legacy=True),)}),
        ("LABEL l$x=${two}", {"pairs": (KeyValue("l1", "a b"),)}),
        ("ARG x=2 y=$x z", {"arguments": (Argument(key="x", default="2"), Argument(key="y", default="2"), Argument(key="z"))}),
        ("WORKDIR /a/$x/$unset", {"path": "/a/1/"}),
        ("USER $x:$x", {"user": "1:1"}),
        ("VOLUME $x /b", {"paths": ("1", "/b")}),
        ("STOPSIGNAL SIG${y:-TERM}", {"signal": "SIGTERM"}),
        ("STOPSIGNAL 9", {"signal": "9"}),
        ("STOPSIGNAL rtmin+3", {"signal": "rtmin+3"}),
        ("EXPOSE $port 5$x", {"ports": ("80/udp", "81/udp", "82/udp", "51/tcp")}),
        ("EXPOSE 127.0.0.1:1:2 [::1]:3:4 5:6", {"ports": ("2/tcp", "6/tcp", "4/tcp")}),
        ("COPY a\\?b \"c\\\\d\" '\\*' \\$x $two\\* /d\\?/", {"sources": ("a\\?b", "c\\\\d", "\\*", "$x", "a b\\*"), "destination": "/d?/"}),
        ("COPY --chown=$x --chmod=$mode $two b$x /c$x/", {"chown": "1", "chmod": "0700", "sources": ("a b", "b1"), "destination": "/c1/"}),
        ("COPY --chmod=u+x,go-w,a=r,o=g a b", {"chmod": "u+x,go-w,a=r,o=g"}),
        ("ADD --chmod=07777 a b", {"chmod": "07777"}),
        ("COPY --exclude=$x a b", {"exclude": ("$x",)}),
        ("ADD --checksum=$x https://a b", {"checksum": "1"}),
        ("COPY <<A <<'B' /c\n$x \"q\"\nA\n$x\nB", {"contents": (InlineFile(name="A", content='1 "q"\n', expand=False), InlineFile(name="B", content="$x\n", expand=False))}),
    ],
)  # fmt: skip
def test_fields(text: str, fields: dict[str, Any]) -> None:
    instruction = expanded(text)
    assert {name: getattr(instruction, name) for name in fields} == fields


@pytest.mark.parametrize(
    "text",
    [
        "RUN echo $x",
        'CMD ["$x"]',
        "ENTRYPOINT $x",
        "HEALTHCHECK CMD $x",
        'SHELL ["$x"]',
        "MAINTAINER $x",
        "ONBUILD RUN $x",
        "COPY --from=a b c",
    ],
)
def test_left_alone(text: str) -> None:
    instruction = parse(f"FROM scratch\n{text}\n".encode()).stages[0].instructions[0]
    assert expand_instruction(instruction, ENVIRONMENT) == instruction


def test_from() -> None:
    stage = parse(b"FROM --platform=$p a:$x AS b").stages[0]
    found: Any = expand_instruction(stage.from_, {"x": "1", "p": "linux/arm64"})
    assert (found.base, found.platform, found.stage) == ("a:1", "linux/arm64", "b")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("FROM $a", "base name ($a) should not be blank", "declare ARG a before the first FROM, or give it by --build-arg a=VALUE"),
        ("FROM $verison", "base name ($verison) should not be blank", "did you mean $version?"),
        ("FROM --platform=$p a", "empty platform value from expression $p", "declare ARG p before the first FROM, or give it by --build-arg p=VALUE"),
    ],
)  # fmt: skip
def test_blank_base(text: str, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand_instruction(parse(text.encode()).stages[0].from_, {"version": "1"})
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_names() -> None:
    instruction = parse(b"FROM a\nENV b=$x c=$y\n").stages[0].instructions[0]
    found = expand_instruction_names(instruction, {"x": ""})
    assert (set(found.used), set(found.unset)) == ({"x"}, {"y"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("COPY --from=$x a b", "variable expansion is not supported for --from"),
        ("ENV $empty=a", "ENV names can not be blank"),
        ("VOLUME $empty", "VOLUME specified can not be an empty string"),
        ("STOPSIGNAL SIGNOPE", "invalid signal: SIGNOPE"),
        ("STOPSIGNAL 0", "invalid signal: 0"),
        ("STOPSIGNAL 65", "invalid signal: 65"),
        ("EXPOSE a", "invalid containerPort: a"),
        ("EXPOSE 70000", "invalid containerPort: 70000"),
        ("EXPOSE 9-8", "invalid containerPort: 9-8"),
        ("EXPOSE 1/icmp", 'invalid port: "1/icmp": invalid proto: icmp'),
        ("EXPOSE /tcp", 'invalid port: "/tcp": no port specified'),
        ("EXPOSE x:1:2", "invalid IP address: x"),
        ("EXPOSE y:2", "invalid hostPort: y"),
        ("EXPOSE 1-3:4-5", "invalid ranges specified for container and host Ports: 4-5 and 1-3"),
        ("COPY --chmod=999 a b", "invalid chmod parameter: '999'. it should be octal string and between 0 and 07777"),
        ("COPY --chmod=17777 a b", "invalid chmod parameter: '17777'. it should be octal string and between 0 and 07777"),
        ("ADD --chmod=u=rwX,g+q a b", "invalid chmod parameter: 'u=rwX,g+q'. it should be octal string and between 0 and 07777"),
        ("COPY https://a b", "source can't be a URL for COPY"),
        ("COPY git@a.b:c.git b", "source can't be a URL for COPY"),
        ("ADD --checksum=$x a b", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=$x https://a https://b c", "checksum can't be specified for multiple sources"),
        ("WORKDIR ${x", "failed to process \"${x\": syntax error: missing '}'"),
        ("ENV a=${q:?say $x}", "Syntax error - can't find = in \"$x}\". Must be of the form: name=value"),
        ("ENV a=\"${q:?say $x}\"", 'failed to process "\\"${q:?say $x}\\"": q: say 1'),
    ],
)  # fmt: skip
def test_refusals(text: str, wanted: str) -> None:
    assert message(text) == wanted


@pytest.mark.parametrize(
    ("flag", "mount"),
    [
        ("target=/a", BindMount(target="/a")),
        ("type=bind,src=$x,dst=a/b,from=s,rw", BindMount(target="a/b", source="1", from_="s", read_only=False)),
        ("readwrite=false,destination=/a", BindMount(target="/a")),
        ("type=CACHE,target=/a", CacheMount(target="/a")),
        ("type=cache,id=$x,target=/a,sharing=LOCKED,ro,from=s,source=/b,mode=$mode,uid=1,gid=2",
         CacheMount(target="/a", id="1", sharing="locked", read_only=True, from_="s", source="/b", mode=0o700, uid=1, gid=2)),
        ("type=tmpfs,target=/a,size=1.5m", TmpfsMount(target="/a", size=1_572_864)),
        ("type=tmpfs,target=/a,ro", TmpfsMount(target="/a", read_only=True)),
        ("type=secret,id=a", SecretMount(target="/run/secrets/a", id="a")),
        ("type=secret,id=a/b", SecretMount(target="/run/secrets/b", id="a/b")),
        ("type=secret,target=/x/y,required,mode=400,uid=1,gid=0",
         SecretMount(target="/x/y", id="y", required=True, mode=0o400, uid=1, gid=0)),
        ("type=secret,id=a,env=B", SecretMount(target="", id="a", env="B")),
        ("type=secret,id=a,env=", SecretMount(target="", id="a", env="a")),
        ("type=secret,id=a,env=B,target=/c", SecretMount(target="/c", id="a", env="B")),
        ("required=true,type=secret,source=a", SecretMount(target="/run/secrets/a", id="a", required=True)),
        ("type=ssh", SshMount(target="")),
        ("type=ssh,id=k,target=/s,required=1,mode=0600", SshMount(target="/s", id="k", required=True, mode=0o600)),
        ('type=secret,"id=a,b"', SecretMount(target="/run/secrets/a,b", id="a,b")),
    ],
)  # fmt: skip
def test_mount(flag: str, mount: Mount) -> None:
    quoted = flag.replace('"', '\\"')
    run = expanded(f"RUN --mount={quoted} a")
    assert isinstance(run, Run)
    assert run.mounts == (mount,)


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("type=bnid", 'unsupported mount type "bnid"'),
        ("tagret=/a", "unexpected key 'tagret' in 'tagret=/a'"),
        ("a", "invalid field 'a' must be a key=value pair"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("", "invalid field '' must be a key=value pair"),
        ("type=cache,target=/a,sharing=x", 'unsupported sharing value "x"'),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/a,uid=x", "invalid value x for uid"),
        ("type=cache,target=/a,uid=4294967296", "invalid value 4294967296 for uid"),
        ("type=bind,target=/a,mode=7", "unexpected key 'mode' for mount type 'bind'"),
        ("type=bind,target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("type=bind,target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,target=/a,from=b", "unexpected key 'from' for mount type 'tmpfs'"),
        ("type=tmpfs,target=/a,size=x", "invalid value for size: x"),
        ("type=ssh,source=a", "unexpected key 'source' for mount type 'ssh'"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,sharing=shared", "unexpected key 'sharing' for mount type 'secret'"),
        ("target=/a,ro=maybe", "invalid value for readonly: maybe"),
    ],
)
def test_mount_is_refused(flag: str, wanted: str) -> None:
    assert message(f"RUN --mount={flag} a") == wanted
