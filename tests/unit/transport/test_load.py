"""Loading docker archives and OCI layouts, good and bad, over a store in memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastlayer.errors import (
    ArchiveError,
    CorruptError,
    DocumentError,
    FastlayerError,
    ImageNotFoundError,
)
from fastlayer.oci.platform import Platform

from tests.support.archives import (
    INDEX_TYPE,
    LAYER_TYPE,
    Link,
    Members,
    add_image,
    blob_name,
    config_of,
    descriptor,
    encode,
    finish_layout,
    hex_of,
    layout,
    named,
    old_docker_archive,
    tar_of,
)
from tests.support.memory_store import MemoryStore, small_tar
from tests.support.requirements import need_core

need_core()

from fastlayer.image import ImageCatalog  # noqa: E402
from fastlayer.transport import LoadedImage, load_path  # noqa: E402
from fastlayer.transport.load import load  # noqa: E402

ONE, TWO = small_tar(one=b"1"), small_tar(two=b"22")
CONFIG = config_of(ONE, TWO)
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def catalog(tmp_path: Path) -> ImageCatalog:
    return ImageCatalog(MemoryStore(tmp_path / "store").as_store())


Loader = Callable[..., tuple[LoadedImage, ...]]


@pytest.fixture
def loader(tmp_path: Path, catalog: ImageCatalog) -> Loader:
    def load_members(
        members: Members | bytes, platform: Platform | None = None
    ) -> tuple[LoadedImage, ...]:
        path = tmp_path / "archive.tar"
        path.write_bytes(members if isinstance(members, bytes) else tar_of(members))
        return load_path(catalog, path, platform=platform)

    return load_members


def test_the_form_before_version_25(loader: Loader, catalog: ImageCatalog) -> None:
    config = config_of(ONE, TWO, ONE)
    loaded = loader(old_docker_archive(config, ONE, TWO, ONE, tags=["site:1", "a.b/site:2"]))
    assert [image.names for image in loaded] == [("site:1", "a.b/site:2")]
    image = catalog.resolve("site:1")
    assert image.raw_config == config
    assert image.manifest is None
    assert len(image.chain) == 3
    assert image.chain[0] == image.chain[2]


def test_an_image_without_a_name(loader: Loader, catalog: ImageCatalog) -> None:
    (loaded,) = loader(old_docker_archive(CONFIG, ONE, TWO))
    assert loaded.names == ()
    assert catalog.resolve(loaded.image.id).raw_config == CONFIG


def test_an_image_without_layers(loader: Loader) -> None:
    config = encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}})
    (loaded,) = loader(old_docker_archive(config, tags=["empty"]))
    assert loaded.names == ("empty:latest",)


def test_a_layout_keeps_its_manifest(loader: Loader, catalog: ImageCatalog) -> None:
    blobs = [gzip.compress(tar) for tar in (ONE, TWO)]
    members: Members = {}
    manifest = add_image(members, CONFIG, *blobs, kind=LAYER_TYPE + "+gzip")
    (loaded,) = loader(finish_layout(members, named(manifest, "docker.io/library/site:1")))
    assert loaded.names == ("site:1",)
    image = catalog.resolve("site:1")
    assert image.manifest is not None
    assert image.manifest.to_json() == manifest
    assert image.raw_config == CONFIG
    assert all(catalog.store.has_blob("sha256:" + hex_of(blob)) for blob in blobs)
    digest = "sha256:" + hex_of(manifest)
    assert image.digests == (f"site@{digest}",)
    assert catalog.resolve(f"site@{digest}").id == image.id


def test_the_form_from_version_25_on(loader: Loader) -> None:
    """Names in the index and names in manifest.json count both."""
    members = layout("docker.io/library/site:1", CONFIG, ONE, TWO)
    tags = ["site:1", "site:2"]
    members["manifest.json"] = encode(
        [
            {
                "Config": blob_name(CONFIG),
                "RepoTags": tags,
                "Layers": [blob_name(ONE), blob_name(TWO)],
            }
        ]
    )
    (loaded,) = loader(members)
    assert loaded.names == ("site:1", "site:2")


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        ("latest", ()),
        ("site", ("site:latest",)),
        ("site:3", ("site:3",)),
        ("example.com/a/b:c", ("example.com/a/b:c",)),
    ],
)
def test_names_of_other_tools(loader: Loader, annotation: str, names: tuple[str, ...]) -> None:
    members: Members = {}
    manifest = add_image(members, CONFIG, ONE, TWO)
    annotations = {"org.opencontainers.image.ref.name": annotation}
    entry = descriptor(
        "application/vnd.oci.image.manifest.v1+json", manifest, annotations=annotations
    )
    (loaded,) = loader(finish_layout(members, entry))
    assert loaded.names == names


def several_platforms() -> tuple[Members, dict[str, object]]:
    members: Members = {}
    entries = []
    for architecture in ("amd64", "arm64"):
        manifest = add_image(members, config_of(ONE, architecture=architecture), ONE)
        platform = {"os": "linux", "architecture": architecture}
        entries.append(descriptor("application/vnd.oci.image.manifest.v1+json", manifest))
        entries[-1]["platform"] = platform
    attestation = {"vnd.docker.reference.type": "attestation-manifest"}
    entries.append({**entries[0], "annotations": attestation})
    index = encode({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})
    members[blob_name(index)] = index
    annotations = {"io.containerd.image.name": "docker.io/library/multi:1"}
    return members, descriptor(INDEX_TYPE, index, annotations=annotations)


def test_an_index_in_the_index(loader: Loader, catalog: ImageCatalog) -> None:
    members, entry = several_platforms()
    (loaded,) = loader(finish_layout(members, entry), platform=ARM64)
    assert loaded.image.platform == ARM64
    (loaded,) = loader(finish_layout(members, entry), platform=AMD64)
    assert loaded.names == ("multi:1",)
    assert loaded.image.digests == (f"multi@{entry['digest']}",)
    for platform in (AMD64, ARM64):
        assert catalog.resolve("multi:1", platform=platform).platform == platform
    assert catalog.store.has_blob(str(entry["digest"]))
    with pytest.raises(ImageNotFoundError, match="linux/s390x") as caught:
        loader(finish_layout(members, entry), platform=Platform("linux", "s390x"))
    assert "linux/amd64, linux/arm64" in str(caught.value.hint)


def test_rmi_of_several_platforms(loader: Loader, catalog: ImageCatalog) -> None:
    members, entry = several_platforms()
    for platform in (ARM64, AMD64):
        loader(finish_layout(members, entry), platform=platform)
    arm = catalog.resolve("multi:1", platform=ARM64)
    removal = catalog.remove(arm.id)
    assert (removal.untagged, removal.deleted) == ((), (arm.id,))
    assert catalog.resolve("multi:1").platform == AMD64
    loader(finish_layout(members, entry), platform=ARM64)
    removal = catalog.remove("multi:1")
    assert removal.untagged == ("multi:1",)
    assert len(removal.deleted) == 2
    assert catalog.list() == ()


def test_links_in_a_layout_directory_are_not_followed(
    tmp_path: Path, catalog: ImageCatalog
) -> None:
    real, layout_folder = tmp_path / "real", tmp_path / "layout"
    for name, content in layout("a.b/c:d", CONFIG, ONE, TWO).items():
        folder = real if name.startswith("blobs") else layout_folder
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        path.write_bytes(content)
    (layout_folder / "blobs").symlink_to(real / "blobs")
    with pytest.raises(ArchiveError):
        load_path(catalog, layout_folder)


def test_a_layout_directory(tmp_path: Path, catalog: ImageCatalog) -> None:
    for name, content in layout("a.b/c:d", CONFIG, ONE, TWO).items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(content, bytes)
        path.write_bytes(content)
    (loaded,) = load_path(catalog, tmp_path / "layout")
    assert loaded.names == ("a.b/c:d",)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_archives(loader: Loader, compress: Callable[[bytes], bytes]) -> None:
    archive = compress(tar_of(layout("site", CONFIG, ONE, TWO)))
    assert loader(archive)[0].names == ("site:latest",)


def test_through_a_pipe(catalog: ImageCatalog) -> None:
    reader, writer = os.pipe()
    data = tar_of(layout("site", CONFIG, ONE, TWO))

    def feed() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        assert load(catalog, reader)[0].names == ("site:latest",)
    finally:
        thread.join()
        os.close(reader)


def test_a_config_that_was_edited_by_hand(loader: Loader) -> None:
    """Docker does not look at the digest in a config's old name, so it is no promise."""
    (loaded,) = loader(OLD | {f"{hex_of(CONFIG)}.json": CONFIG + b" "})
    assert loaded.image.raw_config == CONFIG + b" "
    assert [hex_of(CONFIG) in warning for warning in loaded.warnings] == [True]


def without(members: Members, name: str) -> Members:
    return {key: value for key, value in members.items() if key != name}


OLD = old_docker_archive(CONFIG, ONE, TWO, tags=["site"])
NEW = layout("site", CONFIG, ONE, TWO)
FIRST_LAYER = next(name for name in OLD if name.endswith("layer.tar"))
WRONG_GZIP = layout("site", CONFIG, gzip.compress(ONE)[:-9], gzip.compress(TWO))


@pytest.mark.parametrize(
    ("archive", "kind", "says"),
    [
        (without(OLD, f"{hex_of(CONFIG)}.json"), ArchiveError, "json is missing"),
        (without(OLD, FIRST_LAYER), ArchiveError, "layer.tar is missing"),
        (without(NEW, blob_name(TWO)), ArchiveError, "is missing"),
        (without(NEW, blob_name(CONFIG)), ArchiveError, "is missing"),
        (OLD | {FIRST_LAYER: TWO}, CorruptError, "layer.tar"),
        (NEW | {blob_name(ONE): ONE[::-1]}, CorruptError, hex_of(ONE)),
        (NEW | {blob_name(ONE): ONE + b"x"}, CorruptError, "descriptor says"),
        (NEW | {blob_name(CONFIG): CONFIG[::-1]}, CorruptError, "digest and size"),
        (NEW | {"index.json": b"{"}, DocumentError, "index.json: not JSON"),
        (NEW | {"index.json": b'{"schemaVersion":2,"manifests":[]}'}, ArchiveError, "no image"),
        (WRONG_GZIP, CorruptError, "layer"),
        (OLD | {"manifest.json": b"[{}]"}, DocumentError, "/0/Config"),
        (OLD | {"manifest.json": b"[]"}, ArchiveError, "no image"),
        ({"etc/passwd": b""}, ArchiveError, "neither a docker archive"),
        ({"repositories": b"{}"}, ArchiveError, "before version 1.10"),
        (OLD | {FIRST_LAYER: Link("../../../etc/shadow")}, ArchiveError, "is missing"),
        (OLD | {FIRST_LAYER: Link("layer.tar")}, ArchiveError, "too many links"),
        ({"../manifest.json": b"[]"}, ArchiveError, "leads out"),
        (tar_of(OLD)[:-9000], (CorruptError, ArchiveError), "archive"),
        (tar_of(NEW)[:700], (CorruptError, ArchiveError), "archive"),
        (b"", ArchiveError, "not a tar"),
        (b"x" * 4096, ArchiveError, "not a tar"),
        (gzip.compress(tar_of(NEW))[:-20], CorruptError, "damaged"),
        (old_docker_archive(CONFIG, ONE, tags=["site"]), ArchiveError, "has 1 layers"),
        (
            old_docker_archive(CONFIG, ONE, TWO, tags=["S"]),
            ArchiveError,
            "must be lowercase",
        ),
    ],
)
def test_a_bad_archive_leaves_nothing(
    loader: Loader,
    catalog: ImageCatalog,
    archive: Members | bytes,
    kind: type[FastlayerError] | tuple[type[FastlayerError], ...],
    says: str,
) -> None:
    with pytest.raises(kind, match=says) as caught:
        loader(archive)
    assert "archive.tar" in str(caught.value)
    assert catalog.list() == ()


def test_every_truncation_is_noticed(loader: Loader, catalog: ImageCatalog) -> None:
    whole = tar_of(without(OLD, "repositories"))
    needed = len(whole.rstrip(b"\0"))
    for length in range(0, needed - 512, 512 * 3):
        with pytest.raises((CorruptError, ArchiveError)):
            loader(whole[:length])
    assert catalog.list() == ()


def test_a_missing_file(catalog: ImageCatalog, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="No such file"):
        load_path(catalog, tmp_path / "nothing")
