"""The layer cache: content decides, times do not; and it never gives a wrong layer."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from fastlayer.cache.index import CACHE_FILE
from fastlayer.image import ImageCatalog
from fastlayer.progress.events import Event, StepStatus

if TYPE_CHECKING:
    from fastlayer import BuildResult

    from tests.integration.building import Workshop

TWO_COPIES = "FROM busybox\nCOPY a /a\nCOPY b /b\nENV X=1\nCMD sh\n"


class Statuses:
    """Remembers the status lines of a build."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def event(self, event: Event) -> None:
        if isinstance(event, StepStatus):
            self.texts.append(event.text)

    def close(self) -> None:
        pass


def cached(result: BuildResult) -> list[bool]:
    """Whether each step but FROM was cached."""
    return [step.cached for step in result.steps if not step.instruction.startswith("FROM")]


def test_a_second_build_is_cached_and_has_the_same_id(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    first = workshop.build(TWO_COPIES, tags="x")
    second = workshop.build(TWO_COPIES, tags="x")
    assert (cached(first), cached(second)) == ([False, False], [True, True])
    assert first.image_id == second.image_id
    assert first.chain == second.chain


def test_touched_files_stay_cached(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1", "dir/c": "1"})
    text = "FROM busybox\nCOPY . /all\nCOPY a /a\n"
    first = workshop.build(text)
    workshop.touch_all()
    second = workshop.build(text)
    assert cached(second) == [True, True]
    assert first.image_id == second.image_id


def test_an_edit_of_the_same_size_and_time_is_seen(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build(TWO_COPIES)
    path = workshop.context / "b"
    times = path.stat()
    path.write_text("2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = workshop.build(TWO_COPIES)
    assert cached(second) == [True, False]
    assert workshop.read(second, "/b") == b"2"
    path.write_text("1")
    assert cached(workshop.build(TWO_COPIES)) == [True, True]


def test_modes_and_owners_count(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build(TWO_COPIES)
    os.chmod(workshop.context / "a", 0o755)
    assert cached(workshop.build(TWO_COPIES)) == [False, False]


def test_config_instructions_cost_nothing(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build(TWO_COPIES)
    changed = workshop.build("FROM busybox\nENV Y=2\nCOPY a /a\nLABEL q=r\nCOPY b /b\n")
    assert cached(changed) == [True, True]


def test_no_cache_runs_all_and_is_found_later(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build(TWO_COPIES)
    assert cached(workshop.build(TWO_COPIES, no_cache=True)) == [False, False]
    assert cached(workshop.build(TWO_COPIES)) == [True, True]


def test_a_lost_layer_is_made_again(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    first = workshop.build(TWO_COPIES)
    kept = set(ImageCatalog(workshop.store).needed()) - {first.chain[2]}
    workshop.store.collect(lambda: sorted(kept))
    assert cached(workshop.build(TWO_COPIES)) == [True, False]


def test_a_damaged_index_costs_time_only(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    first = workshop.build(TWO_COPIES)
    (workshop.store.root / CACHE_FILE).write_bytes(b"damaged" * 1000)
    second = workshop.build(TWO_COPIES)
    assert cached(second) == [False, False]
    assert second.chain == first.chain
    shutil.rmtree((workshop.store.root / CACHE_FILE).parent)
    assert cached(workshop.build(TWO_COPIES)) == [False, False]


def test_copy_from_a_stage_goes_by_what_is_copied(workshop: Workshop) -> None:
    text = "FROM busybox AS build\nCOPY . /src\nFROM busybox\nCOPY --from=build /src/out /out\n"
    workshop.write({"out": "same", "noise": "1"})
    first = workshop.build(text)
    workshop.write({"noise": "2"})
    second = workshop.build(text)
    assert cached(second) == [False, True]
    assert first.image_id == second.image_id


def test_a_linked_copy_survives_another_base(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build("FROM busybox\nCOPY --link a /a\n")
    result = workshop.build("FROM busybox\nCOPY b /b\nCOPY --link a /a\n")
    assert cached(result) == [False, True]
    assert workshop.read(result, "/a") == b"1"


def test_strict_mode_goes_by_layers(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    first = workshop.build(TWO_COPIES, strict_cache=True)
    assert cached(workshop.build(TWO_COPIES, strict_cache=True)) == [True, True]
    assert cached(workshop.build(TWO_COPIES)) == [False, False]
    assert first.chain == workshop.build(TWO_COPIES).chain


def test_the_reason_of_a_miss_is_told(workshop: Workshop) -> None:
    workshop.write({"a": "1", "b": "1"})
    workshop.build(TWO_COPIES)
    workshop.write({"a": "2"})
    told = Statuses()
    workshop.build(TWO_COPIES, progress=told)
    reasons = [text for text in told.texts if text.startswith("not cached")]
    assert reasons == [
        "not cached: the content of its inputs changed",
        "not cached: what it starts from changed",
    ]
