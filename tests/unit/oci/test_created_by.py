from __future__ import annotations

from fastlayer.oci import created_by
from fastlayer.oci.config import Healthcheck
from fastlayer.oci.go_text import format_duration, quote

SHELL = ["/bin/sh", "-c"]
SECOND = 1_000_000_000


def test_every_instruction_reads_as_buildkit_writes_it() -> None:
    check = Healthcheck(
        test=("CMD-SHELL", "curl -f http://localhost/ || exit 1"),
        interval=300 * SECOND,
        timeout=3 * SECOND,
    )
    texts = {
        created_by.run([*SHELL, "apt-get update"]): "RUN /bin/sh -c apt-get update # buildkit",
        created_by.run([*SHELL, "ls /etc/"], {"foo": "bar2", "bar": "123"}): (
            "RUN |2 foo=bar2 bar=123 /bin/sh -c ls /etc/ # buildkit"
        ),
        created_by.run(["ls", "-la"]): "RUN ls -la # buildkit",
        created_by.copy("COPY", ["index.html"], "/usr/share/nginx/html/"): (
            "COPY index.html /usr/share/nginx/html/ # buildkit"
        ),
        created_by.copy(
            "COPY", ["a", "b"], "/c/", parents=True, chown="1:2", chmod="0644", heredocs=["EOF"]
        ): "COPY --parents --chown=1:2 --chmod=0644 a b <<EOF /c/ # buildkit",
        created_by.copy("ADD", ["a.tar"], "/"): "ADD a.tar / # buildkit",
        created_by.workdir("/srv"): "WORKDIR /srv",
        created_by.env([("A", "1"), ("B", "x y")]): "ENV A=1 B=x y",
        created_by.label([("k", "v")]): "LABEL k=v",
        created_by.expose(["5000/tcp", "1234/udp"]): "EXPOSE [1234/udp 5000/tcp]",
        created_by.cmd(["nginx", "-g", "daemon off;"]): 'CMD ["nginx" "-g" "daemon off;"]',
        created_by.entrypoint([*SHELL, "x"]): 'ENTRYPOINT ["/bin/sh" "-c" "x"]',
        created_by.healthcheck(check): (
            "HEALTHCHECK {Test:[CMD-SHELL curl -f http://localhost/ || exit 1] Interval:5m0s "
            "Timeout:3s StartPeriod:0s StartInterval:0s Retries:0}"
        ),
        created_by.user("app"): "USER app",
        created_by.stopsignal("SIGTERM"): "STOPSIGNAL SIGTERM",
        created_by.volume(["/data", "/log"]): "VOLUME [/data /log]",
        created_by.shell(["/bin/bash", "-c"]): "SHELL [/bin/bash -c]",
        created_by.arg([("k", "v"), ("k2", None)]): "ARG k=v k2",
        created_by.maintainer("Foo <f@x>"): "MAINTAINER Foo <f@x>",
    }
    assert [text for text, expected in texts.items() if text != expected] == []


def test_go_quotes() -> None:
    assert quote('a"b\\\n\t\x01é\u200b\U0001f600') == r'"a\"b\\\n\t\x01é\u200b😀"'


def test_go_durations() -> None:
    spans = {
        0: "0s",
        1: "1ns",
        1_500: "1.5µs",
        2_000_000: "2ms",
        SECOND: "1s",
        SECOND * 3 // 2: "1.5s",
        90 * SECOND: "1m30s",
        3600 * SECOND: "1h0m0s",
        -SECOND: "-1s",
    }
    assert {span: format_duration(span) for span in spans} == spans
