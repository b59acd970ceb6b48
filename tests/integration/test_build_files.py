"""COPY, ADD, WORKDIR and heredocs, on the real store."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from fastlayer.errors import BuildError

if TYPE_CHECKING:
    from tests.integration.building import Workshop

EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def test_copy_places_files_as_docker_does(workshop: Workshop) -> None:
    workshop.write({"a.txt": "a", "dir/b.txt": "b", "dir/sub/c.txt": "c", "x1": "1", "x2": "2"})
    result = workshop.build(
        "FROM busybox\n"
        "COPY a.txt /file\n"
        "COPY a.txt /new/\n"
        "COPY dir /copied\n"
        "COPY x* /many/\n"
        "WORKDIR /w\n"
        "COPY a.txt ./\n"
        "COPY --chown=app --chmod=0600 a.txt owned\n"
        "COPY --chown=12:34 dir /numbers\n"
    )
    assert workshop.read(result, "/file") == b"a"
    assert workshop.read(result, "/new/a.txt") == b"a"
    assert workshop.read(result, "/copied/sub/c.txt") == b"c"
    assert workshop.read(result, "/many/x2") == b"2"
    assert workshop.read(result, "/w/a.txt") == b"a"
    assert workshop.stat(result, "/w/owned") == ("file", 0o600, 1000, 1001)
    assert workshop.stat(result, "/numbers/sub/c.txt")[2:] == (12, 34)
    assert not workshop.has(result, "/copied/dir")


def test_workdir_is_made_and_owned_by_the_user(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\nUSER app\nWORKDIR /srv/app\nUSER root\nWORKDIR /srv/app\nWORKDIR /\n"
    )
    assert workshop.stat(result, "/srv/app") == ("directory", 0o755, 1000, 1001)
    assert result.chain[-1] == EMPTY_LAYER
    config = workshop.config(result)
    assert config["config"]["WorkingDir"] == "/"
    assert [entry.get("empty_layer", False) for entry in config["history"]] == [
        False,
        True,
        False,
        True,
        False,
        True,
    ]


def test_users_of_an_image_without_users(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    result = workshop.build(
        "FROM scratch\nCOPY --chown=root:root a /a\nUSER root\nWORKDIR /w\nUSER 7\nWORKDIR /w/x\n"
    )
    assert workshop.stat(result, "/a")[2:] == (0, 0)
    assert workshop.stat(result, "/w") == ("directory", 0o755, 0, 0)
    assert workshop.stat(result, "/w/x") == ("directory", 0o755, 7, 7)
    with pytest.raises(BuildError, match="Dockerfile:4: unable to find user app"):
        workshop.build("FROM scratch\nCOPY a /a\nUSER app\nWORKDIR /x\n")


def test_a_workdir_that_is_there_needs_no_owner(workshop: Workshop) -> None:
    result = workshop.build("FROM busybox\nUSER nobody-knows:root\nWORKDIR /etc\n")
    assert workshop.last_layer(result).keys() == {""}
    with pytest.raises(BuildError, match="Dockerfile:3: unable to find user nobody-knows"):
        workshop.build("FROM busybox\nUSER nobody-knows:root\nWORKDIR /new\n")


def test_ignore_rules(workshop: Workshop) -> None:
    workshop.write(
        {"keep": "", "drop.log": "", "deep/x.log": "", "deep/keep.log": "", "deep/y": ""}
    )
    workshop.write({".dockerignore": "**/*.log\n!deep/keep.log\n.dockerignore\n"})
    result = workshop.build("FROM scratch\nCOPY . /\n")
    assert {entry.path for entry in workshop.store.walk(result.chain) if entry.kind == "file"} == {
        b"keep",
        b"deep/keep.log",
        b"deep/y",
    }
    with pytest.raises(BuildError, match=r"^Dockerfile:2: .*drop\.log"):
        workshop.build("FROM scratch\nCOPY drop.log /\n")


def test_add_unpacks_archives_by_content(workshop: Workshop) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("inside/file")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"yes"))
    workshop.write({"named.bin": buffer.getvalue(), "plain.tar": b"no tar at all"})
    result = workshop.build(
        "FROM busybox\nADD named.bin /a/\nCOPY named.bin /b/\nADD plain.tar /c/\n"
        "ADD --unpack=false named.bin /d/\n"
    )
    assert workshop.read(result, "/a/inside/file") == b"yes"
    assert workshop.read(result, "/b/named.bin") == buffer.getvalue()
    assert workshop.read(result, "/c/plain.tar") == b"no tar at all"
    assert workshop.read(result, "/d/named.bin") == buffer.getvalue()


def test_heredocs_become_files(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\nENV WHO=me\nCOPY --chmod=0755 <<one.sh <<'two' /d/\n"
        "echo $WHO\none.sh\necho $WHO\ntwo\n"
    )
    assert workshop.read(result, "/d/one.sh") == b"echo me\n"
    assert workshop.read(result, "/d/two") == b"echo $WHO\n"
    assert workshop.stat(result, "/d/one.sh") == ("file", 0o755, 0, 0)
    (entry,) = workshop.config(result)["history"][-1:]
    assert entry["created_by"] == "COPY --chmod=0755 <<one.sh <<two /d/ # buildkit"


def test_stages_and_images_give_files(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    workshop.build("FROM scratch\nCOPY a /from-image\n", tags="other:1")
    result = workshop.build(
        "FROM busybox AS one\nCOPY --chown=7:8 a /x/a\n"
        "FROM scratch\n"
        "COPY --from=one /x /y\n"
        "COPY --from=0 --chown=1:2 x/a /z\n"
        "COPY --from=other:1 /from-image /w\n"
        "COPY --from=one --link /x/a /linked/\n"
    )
    assert workshop.stat(result, "/y/a")[2:] == (7, 8)
    assert workshop.stat(result, "/z")[2:] == (1, 2)
    assert workshop.read(result, "/w") == b"a"
    assert workshop.read(result, "/linked/a") == b"a"
    assert not workshop.has(result, "/bin/sh")


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM busybox\nCOPY missing /\n", r"Dockerfile:2: .*missing"),
        ("FROM busybox\nENV A=1\nCOPY --from=busybox /nowhere /\n", r"Dockerfile:3: .*nowhere"),
        ("FROM busybox\nCOPY ../outside /\n", r"Dockerfile:2: .*outside"),
        ("FROM busybox\nCOPY --chown=nobody2 a /\n", r"Dockerfile:2: unable to find user nobody2"),
        ("FROM busybox\nCOPY --chown=app:nogroup2 a /\n", r"Dockerfile:2: unable to find group"),
        ("FROM busybox\nCOPY a /bin\n\nCOPY dir /bin/a\n", r"Dockerfile:4: .*bin/a"),
    ],
)
def test_mistakes_name_the_line(workshop: Workshop, dockerfile: str, message: str) -> None:
    workshop.write({"a": "a", "dir/b": "b"})
    (workshop.context.parent / "outside").write_text("secret")
    with pytest.raises(BuildError, match=message):
        workshop.build(dockerfile)
