"""Dockerfiles that say the same without what engine 20.10 cannot parse: ``--exclude``,
``--parents`` and heredocs. The engine builds these, fastlayer the originals. A heredoc becomes a
file of 1970, which is the time that fastlayer gives it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HEREDOC = re.compile(
    r'^(?P<head>(?:RUN|COPY|ADD) )<<(?P<quote>"?)EOF"?(?P<rest>.*)\n(?P<body>(?:.*\n)*?)EOF$', re.M
)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A Dockerfile for the engine: its text, what its ignore file says, and more files."""

    text: str
    ignore: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path, context: Path) -> Path:
        """Write it outside of the context, and the files into it; gives the Dockerfile."""
        folder.mkdir()
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(self.text)
        (folder / "Dockerfile.dockerignore").write_text(self.ignore)
        for name, content in self.files.items():
            (context / name).write_text(content)
            os.utime(context / name, (0, 0))
        return dockerfile


def _scratch(*lines: str, ignore: str = "") -> Rewrite:
    return Rewrite("\n".join(["FROM scratch", *lines, ""]), ignore)


def expand_heredocs(text: str, variables: Mapping[str, str]) -> Rewrite:
    """Each heredoc of RUN becomes a line, others become files; unquoted ones are expanded."""
    files: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        body = match["body"]
        if match["head"] == "RUN ":
            return "RUN " + "; ".join(body.splitlines())
        if not match["quote"]:
            body = re.sub(r"\$(\w+)", lambda name: variables.get(name[1], ""), body)
        name = f"heredoc{len(files)}"
        files[name] = body
        return f"{match['head']}{name}{match['rest']}"

    return Rewrite(_HEREDOC.sub(replace, text), files=files)


_ROBOTS = "(robots content)\nLong file with random text\nRandom line\nHelloWorld\n"

_LINKS = """\
FROM mirror.gcr.io/alpine as base
COPY . .
RUN ln -s /x/z/b.txt /x/z/symlink-b.txt
RUN ln /x/z/a.txt /x/z/hardlink-a.txt
RUN ln /x/y/b.txt /x/z/hardlink-y-b.txt
FROM scratch
COPY --from=base ./x /parents/x
COPY --from=base ./x/z /parents_dir_point/z
"""
_SECRETS = """\
FROM busybox AS first
RUN --mount=type=secret,id=netrc \\
    SECRET=`cat /run/secrets/netrc` \\
    && echo $SECRET | tee /out1.txt
ENV SECRET=whatever
RUN --mount=type=secret,id=netrc tee /out2.txt < /run/secrets/netrc && echo >> /out2.txt
RUN cp /out2.txt /out3.txt && cp /out2.txt /out4.txt
"""
_FILES = """\
FROM busybox
RUN touch /tmp/bli; touch /tmp/bla; touch /tmp/blubb
RUN echo "Hello from file1" > /tmp/file1.txt && echo "Hello from file2" > /tmp/file2.txt
COPY file3.txt file4.txt /tmp/
RUN ls -la /tmp && cat /tmp/*.txt
"""
_CAT = """\
FROM busybox AS one
RUN echo helloworld > /out
FROM busybox AS two
RUN echo blubb > /out
FROM busybox
COPY --from=one /out /one
COPY --from=two /out /two
"""
_HEREDOCS = """\
FROM mirror.gcr.io/busybox as one
RUN echo helloworld > image_file
FROM mirror.gcr.io/busybox
RUN echo hello
COPY file robots.txt humans.txt /test/
COPY --from=one image_file /test2/
COPY robots.txt humans.txt /test2/
"""

REWRITES: Mapping[str, Rewrite] = {
    "bc-072": _scratch("ADD ./ subdir/", ignore="**/*-c"),
    "bc-073": _scratch("ADD / subdir/", ignore="*.txt"),
    "bc-074": _scratch("ADD . subdir/", ignore="*-c"),
    "bc-075": _scratch("COPY / subdir/", ignore="**/*-c"),
    "bc-076": _scratch("COPY ./ subdir/"),
    "bc-077": _scratch("COPY . subdir/"),
    "bc-078": _scratch("COPY app/ app/", ignore="app/storage/views"),
    "bc-079": _scratch("COPY app/ app/", ignore="app/storage/views"),
    "bc-080": _scratch(
        "COPY app/ app/", ignore="app/storage/views/test_file\n!app/storage/views/exception"
    ),
    "bc-081": _scratch(
        "COPY ./x/a.txt ./y/a.txt /no_parents/",
        "COPY ./x/a.txt /parents/x/",
        "COPY ./y/a.txt /parents/y/",
    ),
    "bc-082": _scratch("COPY ./x /parents/x"),
    "bc-083": Rewrite(_LINKS),
    "bc-084": _scratch("COPY ./ /parents/"),
    "bc-085": _scratch("COPY ./x/y/ /parents/x/y"),
    "bc-086": _scratch(
        "COPY ./x/y/a.txt /parents/x/y/",
        "COPY ./x/z/a.txt /parents/x/z/",
        "COPY ./y/b.txt /parents/y/",
    ),
    "bc-087": _scratch("COPY ./x/y/*.txt /parents/x/y/"),
    "bc-088": _scratch("COPY ./x /parents/x"),
    "bc-089": _scratch("COPY ./x /parents/"),
    "bc-090": _scratch("COPY ./x /parents/"),
    "bc-091": _scratch("COPY ./x/y/*.txt /parents/y/"),
    "bc-092": _scratch("COPY ./x/y/*.txt /parents/"),
    "fork-issue_1713": Rewrite(
        _FILES, files={"file3.txt": "Hello from file3\n", "file4.txt": "Hello from file4\n"}
    ),
    "fork-issue_cg188": Rewrite(_SECRETS),
    "fork-issue_mz817": Rewrite(
        "FROM scratch\nENV DO_EXPAND=expanded\nCOPY expand.txt literal.txt /tmp/\n",
        files={
            "expand.txt": "value=expanded\nescaped=${DO_EXPAND}\n",
            "literal.txt": "value=${DO_EXPAND}\n",
        },
    ),
    "fork-issue_mz824": Rewrite(_CAT),
    "bc-159": Rewrite(_HEREDOCS, files={"robots.txt": _ROBOTS, "humans.txt": "(humans content)\n"}),
}
"""By the id of the case."""


EXPANDED: Mapping[str, Mapping[str, str]] = {
    "bc-168": {"argA": "argvA", "varA": "valueA"},
}
"""Cases whose heredocs are expanded, with the variables that they know."""


def is_rewritten(case_id: str) -> bool:
    """Whether the engine builds something else than the case's own Dockerfile."""
    return case_id in REWRITES or case_id in EXPANDED


def rewrite_of(case_id: str, text: bytes) -> Rewrite | None:
    """The engine's Dockerfile for a case, where its own cannot be parsed."""
    if case_id in EXPANDED:
        return expand_heredocs(text.decode(), EXPANDED[case_id])
    return REWRITES.get(case_id)
