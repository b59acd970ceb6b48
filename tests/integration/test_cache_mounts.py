"""Cache mounts as part of the build cache: listed, counted and pruned; never while in use."""

from __future__ import annotations

import os
import threading

import pytest
from fastlayer.builder.storage import Storage
from fastlayer.cache.mounts import CacheMounts
from fastlayer.cache.policy import BUDGET_VARIABLE

from tests.integration.building import Workshop


def test_caches_are_listed_and_pruned_by_age_key_and_type(workshop: Workshop) -> None:
    text = "FROM busybox\n" + "".join(
        f"RUN --mount=type=cache,id={name},target=/c head -c {size} /dev/urandom > /c/f\n"
        for name, size in (("old", 400_000), ("new", 300_000))
    )
    workshop.build(text)
    command = workshop.command()
    mounts = {mount.identity: mount for mount in CacheMounts(workshop.store.root).records()}
    assert mounts.keys() == {"old", "new"}
    assert 400_000 < mounts["old"].size < 450_000
    assert not mounts["old"].in_use
    week = mounts["old"].used - 7 * 24 * 3600
    os.utime(workshop.store.root / "cache" / "mounts" / mounts["old"].key / "lock", (week, week))
    lines = command.text("builder", "du", "--filter", "type=exec.cachemount").splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["exec.cachemount"] * 2
    assert "cache mount new" in lines[1]
    assert "7 days ago" in lines[2]
    foretold = command.text("builder", "prune", "--dry-run", "--filter", "until=48h")
    assert mounts["old"].key[:25] in foretold
    told = command.text("builder", "prune", "-f", "--filter", "until=48h")
    assert told == foretold.replace("reclaimable", "reclaimed")
    assert [mount.identity for mount in CacheMounts(workshop.store.root).records()] == ["new"]
    assert len(command.text("builder", "du", "--filter", "type=regular").splitlines()) == 4
    key = mounts["new"].key
    text = command.text("builder", "prune", "-f", "--filter", f"id={key[:12]}")
    assert key[:25] in text
    assert CacheMounts(workshop.store.root).records() == []
    refused = command.run("builder", "prune", "-f", "--filter", "type=exec", check=False)
    assert b"exec.cachemount" in refused.stderr


def test_a_budget_counts_caches(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "RUN --mount=type=cache,target=/c"
    workshop.build(f"FROM busybox\n{line} head -c 400000 /dev/urandom > /c/f\n", gc=False)
    mounts = CacheMounts(workshop.store.root)
    assert mounts.size() > 400_000
    [key] = [mount.key for mount in mounts.records()]
    note = workshop.store.root / "cache" / "mounts" / key / "size"
    note.write_text("7")
    assert mounts.size() == 7, "not measured again before it is used"
    storage = Storage(workshop.store)
    assert storage.choose(keep_bytes=1 << 30, everything=False).contents.mounts == ()
    assert len(storage.choose(keep_bytes=300_000).contents.mounts) == 1
    monkeypatch.setenv(BUDGET_VARIABLE, "300000")
    workshop.build(f"FROM busybox\n{line} touch /c/f\n", gc=True)
    assert mounts.records() == []


def test_a_cache_in_use_stays(workshop: Workshop) -> None:
    outcome: list[object] = []
    text = "FROM busybox\nRUN --mount=type=cache,target=/c touch /c/f; sleep 2; test -f /c/f\n"
    builder = threading.Thread(target=lambda: outcome.append(workshop.build(text)))
    builder.start()
    mounts = CacheMounts(workshop.store.root)
    while not any(mount.in_use for mount in mounts.records()):
        assert builder.is_alive()
    command = workshop.command()
    assert ", in use" in command.text("builder", "du")
    for words in (("builder", "prune", "-af"), ("builder", "prune", "-f", "--keep-storage", "1")):
        assert mounts.records()[0].key[:25] not in command.text(*words)
    [mount] = mounts.records()
    assert mounts.remove(mount.key) is None
    builder.join()
    assert outcome, "the build failed"
    [mount] = mounts.records()
    assert mounts.remove(mount.key) == mount.size
    assert mounts.records() == []
