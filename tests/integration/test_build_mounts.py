"""RUN --mount: bind, cache, tmpfs and secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastlayer.errors import BuildError

from tests.support.ways import without

if TYPE_CHECKING:
    from tests.integration.building import Workshop


@pytest.fixture(autouse=True)
def _runs(way: str) -> None:
    """Every way in which steps run."""


@without("chroot")
def test_bind_from_the_context_follows_the_ignore_rules(workshop: Workshop) -> None:
    workshop.write({"src/a": "a", "src/b.log": "b", ".dockerignore": "**/*.log\n"})
    result = workshop.build(
        "FROM busybox\nWORKDIR /w\n"
        "RUN --mount=type=bind,source=src,target=in ls in > /seen; ! touch in/new\n"
        "RUN --mount=type=bind,source=src/a,target=/one cat /one > /copy\n"
    )
    assert workshop.read(result, "/seen") == b"a\n"
    assert workshop.read(result, "/copy") == b"a"
    assert workshop.last_layer(result).keys() - {""} == {"copy"}


def test_bind_from_a_stage_and_writes_that_are_dropped(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    result = workshop.build(
        "FROM scratch AS files\nCOPY a /x/a\n"
        "FROM busybox\n"
        "RUN --mount=from=files,source=/x,target=/m cat /m/a > /one\n"
        "RUN --mount=from=files,target=/m,rw echo changed > /m/x/a; cat /m/x/a > /two\n"
        "RUN --mount=from=files,target=/m cat /m/x/a > /three\n"
    )
    assert workshop.read(result, "/one") == b"a"
    assert workshop.read(result, "/two") == b"changed\n"
    assert workshop.read(result, "/three") == b"a"


def test_a_bind_is_keyed_by_its_content(workshop: Workshop) -> None:
    text = "FROM busybox\nRUN --mount=target=/m cat /m/a > /out\n"
    workshop.write({"a": "1"})
    workshop.build(text)
    workshop.touch_all()
    assert workshop.build(text).steps[-1].cached
    workshop.write({"a": "2"})
    changed = workshop.build(text)
    assert not changed.steps[-1].cached
    assert workshop.read(changed, "/out") == b"2"


def test_a_cache_mount_stays_between_builds_and_out_of_the_layer(workshop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c,mode=0700,uid=7 "
    workshop.build(f"FROM busybox\n{line}stat -c %a:%u /c > /c/first\n")
    result = workshop.build(f"FROM busybox\n{line}cat /c/first > /kept\n")
    assert workshop.read(result, "/kept") == b"700:7\n"
    assert workshop.last_layer(result).keys() - {""} == {"kept"}
    other = workshop.build(
        "FROM busybox\nRUN --mount=type=cache,id=other,target=/c ls /c > /kept\n"
    )
    assert workshop.read(other, "/kept") == b""
    filled = workshop.build(
        "FROM busybox\nRUN --mount=type=cache,id=new,target=/c,from=busybox,source=/etc,"
        "sharing=locked ls /c > /kept\n"
    )
    assert workshop.read(filled, "/kept") == b"group\npasswd\n"


def test_caches_of_other_namespaces_are_other_caches(workshop: Workshop) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c ls /c > /seen && touch /c/{}\n"
    for name, namespace, seen in (
        ("a", "one", b""),
        ("b", "two", b""),
        ("c", "one", b"a\n"),
        ("d", "", b""),
    ):
        given = {"BUILDKIT_CACHE_MOUNT_NS": namespace}
        result = workshop.build(text.format(name), build_args=given)
        assert workshop.read(result, "/seen") == seen
        assert not any("BUILDKIT" in warning for warning in result.warnings)


def test_caches_of_other_owners_are_other_caches(workshop: Workshop) -> None:
    mount = "RUN --mount=type=cache,target=/c"
    result = workshop.build(
        f"FROM busybox\n{mount},uid=10 touch /c/ten\n{mount} touch /c/root\n"
        f"{mount},uid=10 ls /c > /first\n{mount},uid=0,gid=0,mode=0755 ls /c > /second\n"
        f"{mount},from=busybox,source=/etc ls /c > /third\n"
    )
    assert workshop.read(result, "/first") == b"ten\n"
    assert workshop.read(result, "/second") == b"root\n"
    assert workshop.read(result, "/third") == b"group\npasswd\n"


@without("chroot")
def test_tmpfs(workshop: Workshop) -> None:
    result = workshop.build(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1048576 echo x > /t/x; df /t > /seen\n"
    )
    assert b"tmpfs" in workshop.read(result, "/seen")
    assert b"1024" in workshop.read(result, "/seen")
    assert not workshop.has(result, "/t")


def test_secrets_are_seen_and_not_kept(workshop: Workshop) -> None:
    text = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=key,mode=0440,gid=5 stat -c %a:%g /run/secrets/key > /mode;"
        " wc -c < /run/secrets/key > /size\n"
        "RUN --mount=type=secret,id=key,env=KEY echo ${#KEY} > /length\n"
        "RUN --mount=type=secret,id=absent ls /run/secrets > /seen 2>&1 || true\n"
    )
    result = workshop.build(text, secrets={"key": b"topsecret"})
    assert workshop.read(result, "/mode") == b"440:5\n"
    assert workshop.read(result, "/size") == b"9\n"
    assert workshop.read(result, "/length") == b"9\n"
    assert not workshop.has(result, "/run/secrets/key")
    again = workshop.build(text, secrets={"key": b"another!!"})
    assert [step.cached for step in again.steps] == [True] * 4


def test_a_missing_source_is_named(workshop: Workshop) -> None:
    with pytest.raises(BuildError, match=r"Dockerfile:2: nowhere: not found in the build context"):
        workshop.build("FROM busybox\nRUN --mount=source=nowhere,target=/m true\n")
    with pytest.raises(BuildError, match=r"Dockerfile:2: nowhere: not found in"):
        workshop.build("FROM busybox\nRUN --mount=from=busybox,source=nowhere,target=/m true\n")
