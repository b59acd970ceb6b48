"""Archives of images that lie, lead outside or ask for too much: ``load`` refuses each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archives import (
    Link,
    Members,
    blob_name,
    config_of,
    encode,
    hex_of,
    layout,
    old_docker_archive,
    tar_of,
)
from tests.support.canary import Canary
from tests.support.command import Command
from tests.support.measured import run_measured
from tests.support.store_state import StoreState, staging
from tests.support.tar_blocks import END, extended, file, hardlink, header, padded, symlink

LAYER = file(b"f", b"content") + END
CONFIG = config_of(LAYER)
GOOD = old_docker_archive(CONFIG, LAYER, tags=["hostile:latest"])
[LAYER_NAME] = (name for name in GOOD if name.endswith("layer.tar"))
AROUND = LAYER_NAME.replace("layer.tar", "a")
CONFIG_NAME = f"{hex_of(CONFIG)}.json"


def manifest(**fields: object) -> bytes:
    entry = {"Config": CONFIG_NAME, "RepoTags": ["hostile:latest"], "Layers": [LAYER_NAME]}
    return encode([{**entry, **fields}])


def with_members(**changes: bytes | Link) -> bytes:
    """The good archive with some members replaced; dots are written as ``__``."""
    renamed = {name.replace("__", "."): content for name, content in changes.items()}
    return tar_of({**GOOD, **renamed})


def with_first(*blocks: bytes) -> bytes:
    """The good archive with something in front."""
    return b"".join(blocks) + tar_of(GOOD)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def with_config(config: bytes) -> bytes:
    members: Members = dict(GOOD)
    del members[CONFIG_NAME]
    members[f"{hex_of(config)}.json"] = config
    members["manifest.json"] = manifest(Config=f"{hex_of(config)}.json")
    return tar_of(members)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "member-upwards": (lambda: with_first(file(b"../../x", b"1")), "leads out"),
    "member-upwards-inside": (lambda: with_first(file(b"a/../../x", b"1")), "leads out"),
    "config-upwards": (lambda: with_members(manifest__json=manifest(Config="../secret")), "secret"),
    "layer-upwards": (
        lambda: with_members(manifest__json=manifest(Layers=["../../etc/passwd"])),
        "passwd",
    ),
    "layer-absolute": (
        lambda: with_members(manifest__json=manifest(Layers=["/etc/passwd"])),
        "passwd",
    ),
    "links-in-circles": (
        lambda: tar_of({**GOOD, LAYER_NAME: Link("a"), AROUND: Link("layer.tar")}),
        "too many links",
    ),
    "manifest-is-huge": (
        lambda: with_members(manifest__json=b"[" + b" " * (9 << 20) + b"]"),
        "more than 8388608",
    ),
    "manifest-is-nested": (lambda: with_members(manifest__json=b"[" * 200_000), "not JSON"),
    "manifest-is-a-number": (lambda: with_members(manifest__json=b"1" * 100_000), "manifest.json"),
    "manifest-is-of-objects": (
        lambda: with_members(manifest__json=b"[" + b"{}," * 2_700_000 + b"{}]"),
        "manifest.json",
    ),
    "config-is-nested": (lambda: with_config(nested(100_000)), "not JSON"),
    "config-is-no-object": (lambda: with_config(b"[]"), "object"),
    "no-such-layers": (
        lambda: with_members(manifest__json=manifest(Layers=[LAYER_NAME] * 100_000)),
        "100000 layers",
    ),
    "extended-header-of-a-gigabyte": (
        lambda: header(b"PaxHeader", b"x", size=1 << 30) + bytes(4096),
        "header",
    ),
    "thousands-of-extended-headers": (
        lambda: with_first(*[extended({b"comment": b"c"})] * 5000),
        "header",
    ),
    "global-headers-that-add-up": (lambda: with_first(*global_headers(8)), "header"),
    "negative-size": (lambda: with_first(header(b"x", size=-512)), "x"),
    "negative-size-of-a-layer": (
        lambda: header(LAYER_NAME.encode(), size=-1024) + tar_of({**GOOD, LAYER_NAME: b""}),
        "",
    ),
    "size-over-the-end": (lambda: with_first(header(b"x", size=1 << 62)), "x"),
    "sparse-of-100-gigabytes": (
        lambda: with_first(
            extended(
                {
                    b"GNU.sparse.major": b"1",
                    b"GNU.sparse.minor": b"0",
                    b"GNU.sparse.name": b"manifest.json",
                    b"GNU.sparse.realsize": b"107374182400",
                }
            )
            + header(b"cut", size=512)
            + padded(b"0\n")
        ),
        "",
    ),
    "sparse-map-without-end": (
        lambda: with_first(
            extended({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0"})
            + header(b"cut", size=1 << 20)
            + padded(b"99999999999\n" + b"1\n" * (1 << 19))
        ),
        "",
    ),
    "too-many-members": (lambda: b"".join(many_members(100_001)) + END, "100000 members"),
    "wrong-layer": (lambda: tar_of({**GOOD, LAYER_NAME: file(b"f", b"another") + END}), "digest"),
}


def global_headers(count: int) -> Iterator[bytes]:
    """Each has a megabyte of records that no other has."""
    for number in range(count):
        yield extended({b"key%d" % number: b"v" * ((1 << 20) - 100)}, b"g")


def many_members(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield header(b"m%d" % number)


SLOW = {"too-many-members", "manifest-is-of-objects"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in SLOW else ()) for name in REFUSED],
)
def test_an_archive_that_lies_is_refused_and_nothing_stays(
    name: str, command: Command, canary: Canary, tmp_path: Path
) -> None:
    make, word = REFUSED[name]
    archive = tmp_path / "archive.tar"
    archive.write_bytes(make())
    command.run("images")
    before = StoreState.of(command.root)
    done = run_measured(command, "load", "-i", str(archive))
    done.assert_refused(word)
    before.assert_same(StoreState.of(command.root))
    assert staging(command.root) == []
    canary.assert_untouched()


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "absolute-name"])
def test_links_of_an_archive_are_its_own(
    kind: str, command: Command, canary: Canary, tmp_path: Path
) -> None:
    secret = os.fsencode(canary.path / "secret")
    name = LAYER_NAME.encode()
    member = {
        "symlink": symlink(name, secret),
        "hardlink": hardlink(name, secret),
        "absolute-name": file(b"/" + name, b"no layer"),
    }[kind]
    archive = tmp_path / "archive.tar"
    archive.write_bytes(tar_of({**GOOD, LAYER_NAME: b""})[: -len(END)] + member + END)
    done = run_measured(command, "load", "-i", str(archive))
    done.assert_refused()
    assert "secret\n" not in done.errors
    canary.assert_untouched()


def test_links_of_a_layout_directory_are_not_followed(
    command: Command, canary: Canary, tmp_path: Path
) -> None:
    members = layout("hostile", CONFIG, LAYER)
    for place in ("index.json", "oci-layout", blob_name(CONFIG), blob_name(LAYER), "blobs"):
        folder = tmp_path / place.replace("/", "-")
        for name, content in members.items():
            assert isinstance(content, bytes)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        outside = tmp_path / f"outside-{place.replace('/', '-')}"
        (folder / place).rename(outside)
        (folder / place).symlink_to(outside)
        done = run_measured(command, "load", "-i", str(folder))
        done.assert_refused()
    canary.assert_untouched()
