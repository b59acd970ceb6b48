"""What a build tells of work that moves many bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fastlayer.image import ImageCatalog
from fastlayer.progress.events import Event, StepStatus
from fastlayer.transport import load_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.building import Workshop

LARGE = 256 << 20
"""Bytes of a file that is at work for longer than the store waits between two looks."""


class Kept:
    """A renderer that keeps the statuses whose bytes are counted."""

    def __init__(self) -> None:
        self.moved: list[StepStatus] = []

    def event(self, event: Event) -> None:
        if isinstance(event, StepStatus) and event.began is not None:
            self.moved.append(event)

    def close(self) -> None:
        pass


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlayer.builder.transfer.FIRST_SECONDS", 0.0)


@pytest.mark.usefixtures("_at_once")
def test_a_long_copy_and_its_output_tell_their_bytes(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"large": b""})
    os.truncate(workshop.context / "large", LARGE)
    kept = Kept()
    archive = tmp_path / "image.tar"
    workshop.build(
        "FROM scratch\nCOPY large /\n",
        progress=kept,
        outputs=(f"type=oci,dest={archive}",),
        tags="large",
    )
    copying = [status for status in kept.moved if status.text == "copying"]
    assert copying[-1].done
    # A header before the file, whose length is a whole number of blocks.
    assert {status.total for status in copying} == {LARGE + 512}
    assert all(0 < status.current <= LARGE + 512 for status in copying)
    exported = [status for status in kept.moved if status.text.startswith("exporting layer ")]
    assert exported[-1].done
    assert exported[-1].total == LARGE + 512 + 1024


def test_load_tells_the_bytes_of_the_layer_at_hand(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"large": b""})
    os.truncate(workshop.context / "large", LARGE)
    archive = tmp_path / "image.tar"
    output = f"type=oci,dest={archive},compression=uncompressed"
    result = workshop.build("FROM scratch\nCOPY large /\n", outputs=(output,))
    catalog = ImageCatalog(workshop.store)
    assert result.image_id is not None
    catalog.remove(result.image_id, force=True, uses=())
    told: list[tuple[str, int, int]] = []
    load_path(catalog, archive, progress=lambda *what: told.append(what))
    name = result.chain[0].removeprefix("sha256:")[:12]
    assert {(one, total) for one, _, total in told} == {(name, LARGE + 512 + 1024)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
