"""Saving images: what is in the archive, and that it depends on the image alone."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from fastlayer.errors import CorruptError, StoreIOError, UsageError
from fastlayer.oci.config import empty_config
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.mutate import append_layer
from fastlayer.oci.platform import Platform
from fastlayer.oci.reference import parse_reference

from tests.support.archives import LAYER_TYPE, config_of, layout, tar_of
from tests.support.memory_store import MemoryStore, digest_of, small_tar
from tests.support.requirements import need_core

need_core()

from fastlayer.image import Image, ImageCatalog  # noqa: E402
from fastlayer.transport import SaveReport, load_path, save, select, write_image  # noqa: E402
from fastlayer.transport.save import SaveOptions  # noqa: E402

ONE, TWO = small_tar(one=b"1"), small_tar(two=b"22")


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path / "store")


@pytest.fixture
def catalog(store: MemoryStore) -> ImageCatalog:
    return ImageCatalog(store.as_store())


@pytest.fixture
def image(store: MemoryStore, catalog: ImageCatalog) -> Image:
    config = empty_config(Platform("linux", "amd64"))
    for tar in (ONE, TWO, ONE):
        config = append_layer(config, store._add(tar).diff_id, HistoryEntry())
    made = catalog.create(config)
    catalog.tag(made.id, "site:1")
    catalog.tag(made.id, "site:2")
    return catalog.resolve("site:1")


def saved(
    catalog: ImageCatalog, path: Path, *names: str, **options: Any
) -> tuple[bytes, SaveReport]:
    with path.open("w+b") as file:
        report = save(catalog, select(catalog, names), file.fileno(), SaveOptions(**options))
    return path.read_bytes(), report


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = [(entry, tar.extractfile(entry)) for entry in tar]
        assert all(entry.mtime == entry.uid == entry.gid == 0 for entry, _ in files)
        return {entry.name: file.read() for entry, file in files if file is not None}


def test_what_is_in_the_archive(catalog: ImageCatalog, image: Image, tmp_path: Path) -> None:
    archive, report = saved(catalog, tmp_path / "a.tar", "site")
    files = members(archive)
    for name, content in files.items():
        if name.startswith("blobs/sha256/"):
            assert digest_of(content) == "sha256:" + name.rpartition("/")[2]
    index = json.loads(files["index.json"])
    assert [entry["annotations"] for entry in index["manifests"]] == [
        {
            "io.containerd.image.name": f"docker.io/library/site:{tag}",
            "org.opencontainers.image.ref.name": tag,
        }
        for tag in "12"
    ]
    assert {entry["digest"] for entry in index["manifests"]} == {report.manifests[image.id]}
    (document,) = json.loads(files["manifest.json"])
    assert document["RepoTags"] == ["site:1", "site:2"]
    assert digest_of(files[document["Config"]]) == image.id
    assert [digest_of(gzip.decompress(files[name])) for name in document["Layers"]] == [
        digest_of(tar) for tar in (ONE, TWO, ONE)
    ]
    manifest = json.loads(files["blobs/sha256/" + report.manifests[image.id][7:]])
    assert {layer["mediaType"] for layer in manifest["layers"]} == {LAYER_TYPE + "+gzip"}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert list(json.loads(files["repositories"])["site"]) == ["1", "2"]
    names = list(files)
    assert len(names) == len(set(names)), "a layer that occurs twice is written once"


def test_the_same_image_gives_the_same_bytes(
    catalog: ImageCatalog, image: Image, tmp_path: Path
) -> None:
    first, _ = saved(catalog, tmp_path / "a.tar", "site:1")
    assert saved(catalog, tmp_path / "b.tar", "site:1")[0] == first
    reader, writer = os.pipe()
    pieces: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reader, "rb") as file:
            pieces.append(file.read())

    thread = threading.Thread(target=drain)
    thread.start()
    save(catalog, select(catalog, ["site:1"]), writer)
    os.close(writer)
    thread.join()
    assert pieces == [first], "a pipe gets what a file gets"
    appended = tmp_path / "appended"
    with appended.open("ab") as file:
        save(catalog, select(catalog, ["site:1"]), file.fileno())
    assert appended.read_bytes() == first


def test_names_that_are_chosen(catalog: ImageCatalog, image: Image) -> None:
    def names(*texts: str) -> list[list[str]]:
        return [[n.familiar for n in s.names] for s in select(catalog, texts)]

    assert names("site:1") == [["site:1"]]
    assert names("site") == [["site:1", "site:2"]]
    assert names(image.id[7:20]) == [[]]
    assert names("site:2", "site:1", "site:2") == [["site:2", "site:1"]]


def test_a_loaded_image_comes_back_as_it_was(
    catalog: ImageCatalog, store: MemoryStore, tmp_path: Path
) -> None:
    config = config_of(ONE, TWO)
    blobs = [gzip.compress(tar, 1, mtime=5) for tar in (ONE, TWO)]
    (tmp_path / "in.tar").write_bytes(
        tar_of(layout("site", config, *blobs, kind=LAYER_TYPE + "+gzip"))
    )
    (loaded,) = load_path(catalog, tmp_path / "in.tar")
    manifest = loaded.image.manifest
    assert manifest is not None
    archive, report = saved(catalog, tmp_path / "out.tar", "site")
    files = members(archive)
    assert report.rewritten == ()
    assert files["blobs/sha256/" + manifest.digest[7:]] == manifest.raw
    assert files["blobs/sha256/" + loaded.image.id[7:]] == config
    assert [files["blobs/sha256/" + digest_of(blob)[7:]] for blob in blobs] == blobs

    archive, report = saved(catalog, tmp_path / "out.tar", "site", codec="none")
    assert (report.rewritten, report.manifests[loaded.image.id] != manifest.digest) == ((), True)

    del store.blobs[digest_of(blobs[0])]
    archive, report = saved(catalog, tmp_path / "out.tar", "site")
    assert report.rewritten == (loaded.image.id,)
    assert digest_of(members(archive)["blobs/sha256/" + loaded.image.id[7:]]) == loaded.image.id


def test_outputs(catalog: ImageCatalog, image: Image, tmp_path: Path) -> None:
    path = tmp_path / "out.tar"
    names = (parse_reference("x:1"),)
    write_image(catalog, image, kind="oci", destination=path, names=names)
    files = members(path.read_bytes())
    assert "manifest.json" not in files
    assert "oci-layout" in files
    write_image(catalog, image, kind="docker", destination=path, names=names, codec="none")
    files = members(path.read_bytes())
    (document,) = json.loads(files["manifest.json"])
    assert [files[name] for name in document["Layers"]] == [ONE, TWO, ONE]
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert list(tmp_path.glob(".out*")) == []


def test_outputs_that_do_not_fit(catalog: ImageCatalog, image: Image, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown output type"):
        write_image(catalog, image, kind="zip", destination=tmp_path / "x")
    with pytest.raises(UsageError, match="no layers to compress"):
        write_image(catalog, image, kind="tar", destination=tmp_path / "x", codec="gzip")
    with pytest.raises(UsageError, match="unknown codec"):
        write_image(catalog, image, kind="oci", destination=tmp_path / "x", codec="lz4")
    with pytest.raises(StoreIOError, match="No such file"):
        write_image(catalog, image, kind="oci", destination=tmp_path / "none" / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_a_failed_save_keeps_the_old_file(
    catalog: ImageCatalog, store: MemoryStore, image: Image, tmp_path: Path
) -> None:
    path = tmp_path / "out.tar"
    path.write_bytes(b"old")
    del store.tars[digest_of(TWO)]
    with pytest.raises(CorruptError):
        write_image(catalog, image, kind="oci", destination=path)
    assert path.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tar", "store"]
