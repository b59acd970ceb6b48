"""Layouts and archives whose parts do not fit together: each is refused, or read for what it is.

Truncated, altered, exchanged and oversized blobs, and indexes that say of their parts what is not
so, as a tar and as a directory. Whatever is refused leaves the store as it was.
"""

from __future__ import annotations

import gzip
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastlayer.errors import FastlayerError

from tests.support.archives import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    Members,
    add_image,
    blob_name,
    config_of,
    descriptor,
    encode,
    finish_layout,
    layout,
    named,
    old_docker_archive,
    tar_of,
)
from tests.support.requirements import need_core
from tests.support.store_state import StoreState, staging
from tests.support.tar_blocks import END, file

need_core()

from fastlayer.image import ImageCatalog  # noqa: E402
from fastlayer.oci.platform import Platform  # noqa: E402
from fastlayer.store import Store  # noqa: E402
from fastlayer.transport import load_path  # noqa: E402

ONE = file(b"one", b"1" * 5000) + END
TWO = file(b"two", b"2" * 5000) + END
CONFIG = config_of(ONE, TWO)
Change = Callable[[], Members]
Pack = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


PACKED: dict[str, Pack] = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstd,
}


def edited(members: Members, change: Callable[[Any], None]) -> Members:
    """The layout with its manifest changed, and named by what it is then."""
    index = json.loads(bytes_of(members, "index.json"))
    name = "blobs/" + index["manifests"][0]["digest"].replace(":", "/")
    manifest = json.loads(bytes_of(members, name))
    change(manifest)
    changed = {key: value for key, value in members.items() if key != name}
    data = encode(manifest)
    changed[blob_name(data)] = data
    return finish_layout(changed, named(data, "lying"))


def bytes_of(members: Members, name: str) -> bytes:
    content = members[name]
    assert isinstance(content, bytes)
    return content


def with_index(change: Callable[[Any], None]) -> Members:
    members = layout("lying", CONFIG, ONE, TWO)
    index = json.loads(bytes_of(members, "index.json"))
    change(index)
    return {**members, "index.json": encode(index)}


def of_each(kind: str, make: Callable[[Pack], Members], says: str) -> dict[str, tuple[Change, str]]:
    """A case for each codec."""

    def case(pack: Pack) -> Change:
        return lambda: make(pack)

    return {f"{kind}-{name}": (case(pack), says) for name, pack in PACKED.items()}


def exchanged(pack: Callable[[bytes], bytes]) -> Members:
    """Two blobs that lie under each other's names."""
    one, two = pack(ONE), pack(TWO)
    good = layout("lying", CONFIG, one, two)
    return {**good, blob_name(one): two, blob_name(two): one}


def layers_exchanged() -> Members:
    """Two layers in the other order than the config has them: every digest is right."""
    return layout("lying", CONFIG, TWO, ONE)


def nested(depth: int, **more: Any) -> Members:
    """Indexes within each other."""
    members: Members = {}
    manifest = add_image(members, CONFIG, ONE, TWO)
    entry = named(manifest, "lying")
    for _ in range(depth):
        index = encode({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry], **more})
        members[blob_name(index)] = index
        annotations = {"io.containerd.image.name": "lying"}
        entry = descriptor(INDEX_TYPE, index, annotations=annotations)
    return finish_layout(members, entry)


def pointing_to_itself() -> Members:
    """An index blob that names its own file, under the digest of another."""
    digest = "sha256:" + "0" * 64
    entry = {"mediaType": INDEX_TYPE, "digest": digest, "size": 300}
    index = encode({"schemaVersion": 2, "manifests": [entry]}).ljust(300)
    return finish_layout({"blobs/sha256/" + "0" * 64: index}, entry)


def set_field(*path: str | int, to: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


GOOD = layout("lying", CONFIG, ONE, TWO)
NO_DIGEST = "sha256:" + "1" * 64

REFUSED: dict[str, tuple[Change, str]] = {
    **of_each("exchanged", exchanged, "blobs/sha256|has .* bytes"),
    **of_each(
        "truncated", lambda pack: _with_blob(pack, lambda blob: blob[:-7]), "descriptor says"
    ),
    **of_each(
        "oversized",
        lambda pack: _with_blob(pack, lambda blob: blob + bytes(512)),
        "descriptor says",
    ),
    **of_each("altered", lambda pack: _with_blob(pack, altered), "digest|damaged|layer"),
    "layers-exchanged": (layers_exchanged, "layer|digest"),
    "docker-layers-exchanged": (
        lambda: _exchange_last_two(old_docker_archive(CONFIG, ONE, TWO, tags=["lying"])),
        "layer",
    ),
    "docker-layer-oversized": (
        lambda: _longer_layer(old_docker_archive(CONFIG, ONE, TWO, tags=["lying"])),
        "layer",
    ),
    "manifest-size-lies": (
        lambda: with_index(set_field("manifests", 0, "size", to=7)),
        "digest and size",
    ),
    "manifest-digest-lies": (
        lambda: with_index(set_field("manifests", 0, "digest", to=NO_DIGEST)),
        "is missing",
    ),
    "manifest-is-called-an-index": (
        lambda: with_index(set_field("manifests", 0, "mediaType", to=INDEX_TYPE)),
        "index|manifests",
    ),
    "index-is-called-a-manifest": (
        lambda: _renamed_type(nested(1), MANIFEST_TYPE),
        "manifest",
    ),
    "config-size-lies": (
        lambda: edited(GOOD, set_field("config", "size", to=1)),
        "digest and size",
    ),
    "layer-size-lies": (
        lambda: edited(GOOD, set_field("layers", 0, "size", to=1 << 40)),
        "descriptor says",
    ),
    "layer-size-is-negative": (
        lambda: edited(GOOD, set_field("layers", 0, "size", to=-1)),
        "size",
    ),
    "layer-digest-lies": (
        lambda: edited(GOOD, set_field("layers", 0, "digest", to=NO_DIGEST)),
        "is missing",
    ),
    "layer-digest-leads-out": (
        lambda: edited(GOOD, set_field("layers", 0, "digest", to="sha256:../../../etc/passwd")),
        "digest",
    ),
    "layer-of-another-algorithm": (
        lambda: edited(GOOD, set_field("layers", 0, "digest", to="sha512:" + "1" * 128)),
        "only sha256",
    ),
    "layer-is-no-layer": (
        lambda: edited(GOOD, set_field("layers", 0, "mediaType", to="application/json")),
        "not a layer",
    ),
    "config-is-a-layer": (
        lambda: edited(GOOD, set_field("config", to=descriptor("application/json", ONE))),
        "config",
    ),
    "manifest-and-index-in-one": (
        lambda: edited(GOOD, set_field("manifests", to=[named(b"x", "other")])),
        "manifests",
    ),
    "index-and-manifest-in-one": (
        lambda: nested(1, layers=[descriptor("application/x-tar", ONE)]),
        "layers",
    ),
    "too-few-layers": (lambda: layout("lying", CONFIG, ONE), "has 1 layers"),
    "points-to-itself": (pointing_to_itself, "digest and size"),
    "too-deep": (lambda: nested(9), "nested deeper"),
    "other-version": (
        lambda: {**GOOD, "oci-layout": encode({"imageLayoutVersion": "9.0"})},
        "version '9.0'",
    ),
}


def altered(blob: bytes) -> bytes:
    middle = len(blob) // 2
    return blob[:middle] + bytes([blob[middle] ^ 0x55]) + blob[middle + 1 :]


def _with_blob(pack: Callable[[bytes], bytes], change: Callable[[bytes], bytes]) -> Members:
    one, two = pack(ONE), pack(TWO)
    good = layout("lying", CONFIG, one, two)
    return {**good, blob_name(two): change(two)}


def _exchange_last_two(members: Members) -> Members:
    first, second = [name for name in members if name.endswith("layer.tar")]
    return {**members, first: members[second], second: members[first]}


def _longer_layer(members: Members) -> Members:
    name = next(name for name in members if name.endswith("layer.tar"))
    return {**members, name: bytes_of(members, name) + bytes(10240)}


def _renamed_type(members: Members, kind: str) -> Members:
    index = json.loads(bytes_of(members, "index.json"))
    index["manifests"][0]["mediaType"] = kind
    return {**members, "index.json": encode(index)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def written(members: Members, folder: Path, form: str) -> Path:
    """The archive as a tar or as a directory."""
    if form == "tar":
        (folder / "archive.tar").write_bytes(tar_of(members))
        return folder / "archive.tar"
    for name in members:
        path = folder / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes_of(members, name))
    return folder / "layout"


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str, store: Store, tmp_path: Path) -> None:
    make, says = REFUSED[name]
    members = make()
    before = StoreState.of(store.root)
    for form in ("tar", "directory"):
        if form == "directory" and name.startswith("docker"):
            continue
        with pytest.raises(FastlayerError, match=says) as caught:
            load_path(ImageCatalog(store), written(members, tmp_path, form))
        assert "\n" not in str(caught.value)
        store.collect(list)
        before.assert_same(StoreState.of(store.root))
        assert staging(store.root) == []


@pytest.mark.parametrize("kind", PACKED)
def test_a_media_type_that_lies_about_the_codec_is_looked_through(
    kind: str, store: Store, tmp_path: Path
) -> None:
    said = "application/vnd.oci.image.layer.v1.tar+gzip"
    packed = [PACKED[kind](layer) for layer in (ONE, TWO)]
    archive = written(layout("lying", CONFIG, *packed, kind=said), tmp_path, "tar")
    [loaded] = load_path(ImageCatalog(store), archive)
    assert store.read(loaded.image.chain, b"two") == b"2" * 5000


def test_a_platform_that_lies_is_told(store: Store, tmp_path: Path) -> None:
    members: Members = {}
    manifest = add_image(members, CONFIG, ONE, TWO)
    claimed = {"os": "linux", "architecture": "arm64"}
    archive = written(
        finish_layout(members, named(manifest, "lying", platform=claimed)), tmp_path, "tar"
    )
    [loaded] = load_path(ImageCatalog(store), archive, platform=Platform("linux", "arm64"))
    assert loaded.image.config.platform == Platform("linux", "amd64")
    [warning] = loaded.warnings
    assert "linux/arm64" in warning
    assert "linux/amd64" in warning


def test_a_stream_that_ends_early_leaves_nothing(store: Store, tmp_path: Path) -> None:
    """Every cut of a compressed archive's bytes, coarsely."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as stream:
        stream.write(tar_of(layout("lying", CONFIG, ONE, TWO)))
    whole = buffer.getvalue()
    before = StoreState.of(store.root)
    path = tmp_path / "archive.tar.gz"
    for length in range(0, len(whole) - 1, max(1, len(whole) // 20)):
        path.write_bytes(whole[:length])
        with pytest.raises(FastlayerError):
            load_path(ImageCatalog(store), path)
    store.collect(list)
    before.assert_same(StoreState.of(store.root))
