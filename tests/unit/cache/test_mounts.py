"""Cache mounts of builds that begin and are pruned at the same time."""

from __future__ import annotations

import threading
from pathlib import Path

from fastlayer.cache.mounts import CacheMounts


def test_a_mount_that_is_removed_under_a_waiting_use_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "trash").mkdir()
    mounts = CacheMounts(tmp_path)
    stop = threading.Event()
    failures: list[str] = []

    def use() -> None:
        try:
            while not stop.is_set():
                use = mounts.use("name")
                place = use.place("shared", alone=False)
                (place / "tree").mkdir(exist_ok=True)
                assert (place / "tree").is_dir(), "it was removed while it was in use"
                use.close()
                stop.wait(0.002)  # so that it is not always in use
        except BaseException as error:
            failures.append(repr(error))

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    removed = 0
    while removed < 50 and not failures:
        for record in mounts.records():
            removed += mounts.remove(record.key) is not None
    stop.set()
    for user in users:
        user.join()
    assert failures == []


def test_private_uses_have_places_of_their_own(tmp_path: Path) -> None:
    mounts = CacheMounts(tmp_path)
    first, second = mounts.use("name"), mounts.use("name")
    assert first.home == second.home
    assert first.place("private", alone=False) != second.place("private", alone=False)
    assert [(record.identity, record.in_use) for record in mounts.records()] == [("name", True)]
    first.close()
    second.close()
    assert [record.in_use for record in mounts.records()] == [False]
