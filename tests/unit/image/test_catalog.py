"""Finding, naming and removing images, over a store in memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastlayer.errors import (
    ConflictError,
    CorruptError,
    ImageNotFoundError,
    StoreFormatError,
    StoreIOError,
    UsageError,
)
from fastlayer.oci.config import ImageConfig, empty_config
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.mutate import append_layer, with_author
from fastlayer.oci.platform import Platform

from tests.support.memory_store import MemoryStore, small_tar
from tests.support.ordinary_user import as_ordinary_user, user_folder
from tests.support.requirements import need_core

need_core()

from fastlayer.image import Image, ImageCatalog, ImageUse  # noqa: E402
from fastlayer.image.check import check_images  # noqa: E402
from fastlayer.image.refs import Refs, file_name  # noqa: E402

LINUX = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path)


@pytest.fixture
def catalog(store: MemoryStore) -> ImageCatalog:
    return ImageCatalog(store.as_store())


def add(store: MemoryStore, catalog: ImageCatalog, author: str = "a") -> Image:
    layer = store._add(small_tar(file=author.encode()))
    config = append_layer(empty_config(LINUX), layer.diff_id, HistoryEntry())
    return catalog.create(with_author(config, author))


def test_an_image_is_found_by_all_its_names(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    assert image.tags == ()
    catalog.tag(image.id, "site")
    catalog.tag(image.id, "example.com/site:1.0")
    for text in (
        "site",
        "site:latest",
        "docker.io/library/site",
        "example.com/site:1.0",
        image.id,
        image.id[7:],
        image.id[7:15],
        f"site@{image.id}",
    ):
        found = catalog.resolve(text)
        assert found.id == image.id
        assert found.tags == ("example.com/site:1.0", "site:latest")
    assert catalog.size(image) == 1
    for text in (
        "nothing",
        "site:2",
        "0" * 12,
        f"other@{image.id}",
        f"site@{'sha256:' + '0' * 64}",
    ):
        with pytest.raises(ImageNotFoundError, match="no such image"):
            catalog.resolve(text)
    assert catalog.find("nothing") is None


def test_a_name_beats_the_start_of_an_id(store: MemoryStore, catalog: ImageCatalog) -> None:
    first, second = add(store, catalog), add(store, catalog, "b")
    catalog.tag(second.id, first.id[7:15])
    assert catalog.resolve(first.id[7:15]).id == second.id


def test_an_unclear_start_of_an_id_is_refused(store: MemoryStore, catalog: ImageCatalog) -> None:
    images = [add(store, catalog, f"author {number}") for number in range(17)]
    digits = [image.id[7] for image in images]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(ConflictError, match="start of"):
        catalog.resolve(twice)


def test_a_moved_name_leaves_the_old_image(store: MemoryStore, catalog: ImageCatalog) -> None:
    old, new = add(store, catalog), add(store, catalog, "b")
    catalog.tag(old.id, "site")
    catalog.tag(new.id, "site")
    assert catalog.resolve("site").id == new.id
    assert catalog.resolve(old.id).tags == ()
    assert {image.id for image in catalog.list()} == {old.id, new.id}


def test_the_last_name_takes_the_image_along(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    catalog.tag(image.id, "site")
    catalog.tag(image.id, "site:2")
    removal = catalog.remove("site:2")
    assert (removal.untagged, removal.deleted) == (("site:2",), ())
    removal = catalog.remove("site")
    assert (removal.untagged, removal.deleted) == (("site:latest",), (image.id,))
    assert catalog.list() == ()
    assert store.tars, "layers stay for collection"
    with pytest.raises(ImageNotFoundError):
        catalog.remove("site")


def test_an_id_takes_all_names_of_one_repository(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    catalog.tag(image.id, "site:1")
    catalog.tag(image.id, "site:2")
    assert catalog.remove(image.id[:19]).untagged == ("site:1", "site:2")
    again = add(store, catalog)
    catalog.tag(again.id, "one")
    catalog.tag(again.id, "two")
    with pytest.raises(ConflictError, match="multiple repositories"):
        catalog.remove(again.id)
    assert catalog.remove(again.id, force=True).deleted == (image.id,)


def test_a_container_keeps_its_image(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    catalog.tag(image.id, "site")
    stopped = ImageUse(image.id, "c" * 64)
    with pytest.raises(ConflictError, match="container cccccccccccc uses it"):
        catalog.remove("site", uses=[stopped])
    running = ImageUse(image.id, "c" * 64, running=True)
    with pytest.raises(ConflictError, match="running container"):
        catalog.remove("site", uses=[running], force=True)
    assert catalog.remove("site", uses=[stopped], force=True).deleted == (image.id,)


def test_nothing_is_named_before_it_is_durable(store: MemoryStore, catalog: ImageCatalog) -> None:
    add(store, catalog)
    assert store.syncs == 1


def test_a_missing_layer_is_refused(store: MemoryStore, catalog: ImageCatalog) -> None:
    config = ImageConfig(architecture="amd64", os="linux", diff_ids=("sha256:" + "0" * 64,))
    with pytest.raises(CorruptError, match="missing"):
        catalog.create(config)
    assert catalog.list() == ()


def test_names_with_digests_cannot_be_given(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    with pytest.raises(UsageError):
        catalog.tag(image.id, "site@" + image.id)
    with pytest.raises(ImageNotFoundError):
        catalog.tag("sha256:" + "0" * 64, "site")


def test_the_wanted_platform_is_refused_where_it_is_not(
    store: MemoryStore, catalog: ImageCatalog
) -> None:
    catalog.tag(add(store, catalog).id, "site")
    assert catalog.resolve("site", platform=Platform("linux", "x86_64"))
    with pytest.raises(ImageNotFoundError, match="linux/arm64") as caught:
        catalog.resolve("site", platform=Platform("linux", "arm64"))
    assert "linux/amd64" in str(caught.value.hint)


def test_collection_keeps_what_images_need(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    assert set(catalog.needed()) == {image.id, *image.chain}


def test_fsck_finds_what_is_lost(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    catalog.tag(image.id, "site")
    assert check_images(store.as_store()) == ()
    store.tars.clear()
    assert [problem.what for problem in check_images(store.as_store())] == ["image"]
    store.blobs.clear()
    assert "config" in check_images(store.as_store())[0].detail
    Refs(store.root).drop_image(image.id)
    assert [problem.what for problem in check_images(store.as_store())] == ["name"]
    with pytest.raises(CorruptError):
        catalog.resolve("site")


def test_file_names_are_safe() -> None:
    names = ["docker.io/library/site:latest", "a/b%2Fc:x", "x/" + "y" * 250 + ":" + "t" * 128]
    files = [file_name(name) for name in names]
    assert files[0] == "docker.io%2Flibrary%2Fsite%3Alatest.json"
    assert len(set(files)) == 3
    assert all("/" not in file and len(file) <= 255 for file in files)
    assert file_name(names[2] + "a") != files[2]


def test_what_a_killed_process_left_is_removed(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    litter = store.root / "refs" / "names" / ".new-1"
    litter.write_text("{")
    catalog.tag(image.id, "site")
    assert not litter.exists()
    assert os.listdir(litter.parent) == ["docker.io%2Flibrary%2Fsite%3Alatest.json"]


def test_newer_and_damaged_refs_say_so(store: MemoryStore, catalog: ImageCatalog) -> None:
    image = add(store, catalog)
    catalog.tag(image.id, "site")
    path = store.root / "refs" / "names" / "docker.io%2Flibrary%2Fsite%3Alatest.json"
    text = path.read_text()
    path.write_text(text.replace('"version":1', '"version":9'))
    with pytest.raises(StoreFormatError, match="newer"):
        catalog.resolve("site")
    path.write_text(text[:20])
    with pytest.raises(CorruptError, match=r"latest\.json"):
        catalog.resolve("site")


def test_a_store_that_cannot_be_written_is_named() -> None:
    def attempt() -> None:
        store = MemoryStore(folder)
        catalog = ImageCatalog(store.as_store())
        image = add(store, catalog)
        catalog.tag(image.id, "other")
        (store.root / "refs" / "names").chmod(0o500)
        with pytest.raises(StoreIOError, match="refs"):
            catalog.tag(image.id, "site")

    with user_folder() as folder:
        as_ordinary_user(attempt)
