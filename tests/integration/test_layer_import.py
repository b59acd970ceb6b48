"""Layers that lie in the middle of a file, as in an archive of images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastlayer.errors import CorruptError, StoreIOError
from fastlayer.store import Store

from tests.support.layers import digest_of
from tests.support.requirements import need_core
from tests.support.tar_blocks import END, file

BEFORE = b"something else" * 50


@pytest.fixture
def store(tmp_path: Path) -> Store:
    need_core()
    return Store(tmp_path / "store")


def test_a_stretch_of_a_file_is_taken_and_its_position_stays(store: Store, tmp_path: Path) -> None:
    tar = file(b"large", os.urandom(700_000)) + file(b"small", b"s") + END
    path = tmp_path / "archive"
    path.write_bytes(BEFORE + tar + file(b"after", b"not in it"))
    with path.open("rb") as source:
        fd = source.fileno()
        os.lseek(fd, 5, os.SEEK_SET)
        stretch = (len(BEFORE), len(tar))
        layer = store.import_blob(fd, stretch=stretch, diff_id=digest_of(tar))
        assert os.lseek(fd, 0, os.SEEK_CUR) == 5
    assert layer.diff_id == digest_of(tar)
    assert layer.size == len(tar)


def test_a_stretch_that_the_file_does_not_have_is_refused(store: Store, tmp_path: Path) -> None:
    tar = file(b"large", os.urandom(700_000))
    path = tmp_path / "archive"
    path.write_bytes(BEFORE + tar[:-1000])
    with path.open("rb") as source, pytest.raises(CorruptError):
        store.import_blob(source.fileno(), stretch=(len(BEFORE), len(tar)))
    assert store.layers() == []


def test_a_pipe_has_no_stretches(store: Store) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(StoreIOError):
            store.import_blob(reader, stretch=(0, 1024))
    finally:
        os.close(reader)
        os.close(writer)
