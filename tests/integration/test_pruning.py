"""Giving space back: what prune removes, says and leaves, beside ``du``; and what df counts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from fastlayer import Store
from fastlayer.builder.cache_choice import CacheFilter
from fastlayer.builder.disk_usage import measure
from fastlayer.builder.storage import Storage
from fastlayer.cache.policy import BUDGET_VARIABLE

from tests.integration.building import Workshop
from tests.support.command import Command

SIZE = 400_000


def du(store: Store) -> int:
    output = subprocess.run(
        ["du", "-s", "--block-size=1", store.root], check=True, capture_output=True, text=True
    ).stdout
    return int(output.split()[0])


def fill(workshop: Workshop) -> None:
    """Two images that share a layer of SIZE bytes; the second one was built over."""
    workshop.write({"shared": _noise(1), "one": _noise(2), "two": _noise(3)})
    workshop.build("FROM busybox\nCOPY shared /s\nCOPY one /one\n", tags="one")
    workshop.build("FROM busybox\nCOPY shared /s\nCOPY two /two\n", tags="two")


def _noise(seed: int) -> bytes:
    import random

    return random.Random(seed).randbytes(SIZE)


def test_df_agrees_with_du_and_with_what_removal_gives_back(workshop: Workshop) -> None:
    fill(workshop)
    command = workshop.command()
    command.run("builder", "prune", "-f")
    usage = measure(Storage(workshop.store))
    assert usage.total == pytest.approx(du(workshop.store), abs=64 * 1024)
    by_tag = {one.image.tags[0]: one for one in usage.images}
    assert set(by_tag) == {"busybox:latest", "one:latest", "two:latest"}
    for tag in ("one:latest", "two:latest"):
        assert SIZE <= by_tag[tag].unique <= SIZE + 64 * 1024
        assert by_tag[tag].shared >= SIZE
    assert usage.ratio > 1.5
    assert usage.unreferenced == 0
    assert usage.image_share.total == 3
    before = du(workshop.store)
    command.run("rmi", "two")
    text = command.text("image", "prune", "-f")
    freed = before - du(workshop.store)
    assert freed == pytest.approx(by_tag["two:latest"].unique, abs=16 * 1024)
    assert "Total reclaimed space: " in text
    for words in (("df",), ("df", "-v"), ("system", "df"), ("system", "df", "-v")):
        assert "dedup ratio" in command.text(*words)
    rows = [json.loads(line) for line in command.text("df", "--format", "json").splitlines()]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Build Cache"]


def test_image_prune_takes_images_without_a_name(workshop: Workshop) -> None:
    fill(workshop)
    command = workshop.command()
    workshop.write({"two": b"other"})
    workshop.build("FROM busybox\nCOPY shared /s\nCOPY two /two\n", tags="two")
    images = command.text("images", "-q", "--no-trunc").splitlines()
    assert len(images) == 4
    foretold = command.text("image", "prune", "--dry-run")
    assert len(command.text("images", "-q").splitlines()) == 4
    text = command.text("image", "prune", "-f")
    deleted = [line.split()[1] for line in text.splitlines() if line.startswith("deleted:")]
    assert len(deleted) == 1
    assert deleted[0] in images
    assert deleted[0] in foretold
    assert command.text("image", "prune", "-f") == "Total reclaimed space: 0B"
    # The base was made long ago by its config, the others just now.
    text = command.text("image", "prune", "-af", "--filter", "until=1h")
    assert "untagged: busybox:latest" in text
    assert "untagged: one:latest" not in text
    command.text("image", "prune", "-af")
    assert command.text("images", "-q") == ""


def test_builder_prune_frees_what_it_foretells(workshop: Workshop) -> None:
    fill(workshop)
    command = workshop.command()
    command.run("rmi", "one", "two")
    foretold = Storage(workshop.store)
    chosen = foretold.choose()
    expected = foretold.prune(cache=chosen, dry_run=True)
    assert len(chosen.contents.steps) == 3
    before = du(workshop.store)
    pruned = foretold.prune(cache=chosen)
    assert before - du(workshop.store) == pytest.approx(pruned.freed, abs=32 * 1024)
    assert pruned.freed == expected.freed
    assert set(pruned.layers) == set(expected.layers)
    command.run("fsck")


def test_keep_storage_keeps_what_was_used_last(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlayer.cache.index.USED_PRECISION", 0.0)
    fill(workshop)
    workshop.command().run("rmi", "one", "two")
    storage = Storage(workshop.store)
    storage.prune()
    chosen = storage.choose(keep_bytes=2 * SIZE + 100_000, everything=False).contents
    assert [record.description for record in chosen.steps] == ["COPY one /one"]
    text = workshop.command().text("builder", "prune", "-f", "--keep-storage", "900k")
    assert "Deleted build cache objects:" in text
    assert {record.description for record in storage.records()} == {
        "COPY shared /s",
        "COPY two /two",
    }
    assert not storage.choose(CacheFilter(unused_since=0))
    text = workshop.command().text("builder", "prune", "-f", "--filter", "until=1h")
    assert text == "Total reclaimed space: 0B"


def test_prune_gives_back_what_exports_left(workshop: Workshop, tmp_path: Path) -> None:
    fill(workshop)
    command = workshop.command()
    frames = workshop.store.root / "cache" / "frames"
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    command.run("save", "--compression", "zstd", "-o", first, "one")
    assert [path for path in frames.rglob("*") if path.is_file()]
    command.run("save", "--compression", "zstd", "-o", second, "one")
    assert first.read_bytes() == second.read_bytes()
    chosen = Storage(workshop.store).choose()
    expected = Storage(workshop.store).prune(cache=chosen, dry_run=True).freed
    assert expected > SIZE  # frames are not shared with anything
    before = du(workshop.store)
    assert Storage(workshop.store).prune(cache=chosen).freed == expected
    assert before - du(workshop.store) == pytest.approx(expected, abs=32 * 1024)
    assert not [path for path in frames.rglob("*") if path.is_file()]
    command.run("save", "--compression", "zstd", "-o", second, "one")
    assert first.read_bytes() == second.read_bytes()


def test_a_build_keeps_the_cache_within_its_budget(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, str(SIZE + 100_000))
    storage = Storage(workshop.store)
    for seed in range(3):
        workshop.write({"file": _noise(seed)})
        workshop.build("FROM busybox\nCOPY file /f\n", tags="one", gc=seed != 1)
        workshop.command().run("rmi", "one")
        assert len(storage.records()) == [1, 2, 2][seed]
    # The newest image needs its layer itself, so one more fits.
    assert len(workshop.store.layers()) == 3


def test_system_prune_leaves_what_is_in_use(workshop: Workshop) -> None:
    fill(workshop)
    command = workshop.command()
    refused = command.run("system", "prune", check=False, stdin=b"n\n")
    assert refused.returncode != 0
    assert b"all stopped containers" in refused.stdout
    assert "Total reclaimable space" in command.text("system", "prune", "--dry-run")
    text = command.text("system", "prune", "-f")
    assert text.splitlines()[0] == "Deleted build cache objects:"
    assert len(command.text("images", "-q").splitlines()) == 3
    command.text("system", "prune", "-af")
    assert workshop.store.layers() == []
    command.run("fsck")


def test_filters_that_are_none_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    command = Command(tmp_path_factory.mktemp("store"))
    for words in (("image", "prune"), ("builder", "prune"), ("system", "prune")):
        done = command.run(*words, "-f", "--filter", "colour=red", check=False)
        assert done.returncode == 125
        assert b"colour" in done.stderr
