"""Builds whose every digest is the same wherever and whenever they run, and layers made one."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastlayer import build
from fastlayer.errors import BuildError, DockerfileError, UsageError

from tests.support.command import Command

if TYPE_CHECKING:
    from tests.integration.building import Workshop

EPOCH = 1_500_000_000
TIME = "2017-07-14T02:40:00Z"
FILE = """\
FROM busybox AS base
RUN mkdir /made && date > /dev/null && echo made > /made/file
FROM base
WORKDIR /work
COPY . /site/
COPY --from=base /made /copied
ENV A=1
RUN ln /site/old /site/link && rm /etc/group
"""


@pytest.fixture
def other(tmp_path: Path) -> Workshop:
    """A second workshop, in another folder."""
    from tests.integration.building import make_workshop

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return make_workshop(folder)


def fill(workshop: Workshop, time: int) -> None:
    workshop.write({"old": "old", "new": "new" * 3000, "d/x": "x"})
    for path in workshop.context.rglob("*"):
        os.utime(path, (time, time))
    os.utime(workshop.context / "old", (EPOCH - 5, EPOCH - 5))


def test_two_builds_have_the_same_digests_throughout(workshop: Workshop, other: Workshop) -> None:
    fill(workshop, EPOCH + 1000)
    fill(other, EPOCH + 99_999)
    archives = [shop.context.parent / "image.tar" for shop in (workshop, other)]
    results = [
        shop.build(FILE, tags="site", source_date_epoch=EPOCH, outputs=[f"type=oci,dest={archive}"])
        for shop, archive in zip((workshop, other), archives, strict=True)
    ]
    assert results[0].image_id == results[1].image_id
    assert archives[0].read_bytes() == archives[1].read_bytes()
    config = workshop.config(results[0])
    assert config["created"] == TIME
    assert config["history"][0]["created"] == "2023-11-14T22:13:20Z"  # the base's own
    assert {entry["created"] for entry in config["history"][1:]} == {TIME}
    # Each step's own tree: nothing in it is younger, and what was older kept its time.
    times = {
        entry.path: entry.mtime[0]
        for diff_id in results[0].chain[1:]
        for entry in workshop.store.layer_entries(diff_id)
        if entry.path and entry.kind != "whiteout"
    }
    assert times[b"site/old"] == EPOCH - 5
    assert times[b"site/new"] == EPOCH
    assert max(times.values()) == EPOCH


def test_the_base_is_not_touched_and_the_cache_serves_both_kinds(workshop: Workshop) -> None:
    fill(workshop, EPOCH + 5)
    plain = workshop.build(FILE)
    early = workshop.build(FILE, source_date_epoch=EPOCH)
    again = workshop.build(FILE, source_date_epoch=EPOCH)
    assert early.cached == len(early.steps)
    assert early.chain[0] == plain.chain[0]
    assert early.image_id == again.image_id != plain.image_id
    assert workshop.build(FILE).image_id == plain.image_id
    assert workshop.read(early, "/made/file") == b"made\n"


def test_an_argument_sets_it_and_the_dockerfile_sees_it(workshop: Workshop) -> None:
    text = "FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /seen\n"
    result = workshop.build(text, build_args={"SOURCE_DATE_EPOCH": str(EPOCH)})
    assert workshop.read(result, "/seen") == b"1500000000\n"
    assert workshop.config(result)["created"] == TIME
    assert result.warnings == ()
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH=soon is not a number of seconds"):
        workshop.build(text, build_args={"SOURCE_DATE_EPOCH": "soon"})


def test_the_dockerfile_sets_it_before_the_first_stage(workshop: Workshop) -> None:
    text = f"ARG SOURCE_DATE_EPOCH={EPOCH}\nFROM busybox\nARG SOURCE_DATE_EPOCH\n"
    text += "RUN echo $SOURCE_DATE_EPOCH > /seen\n"
    result = workshop.build(text)
    assert workshop.config(result)["created"] == TIME
    assert workshop.read(result, "/seen") == b"1500000000\n"
    other = workshop.build(text, build_args={"SOURCE_DATE_EPOCH": "5"})
    assert workshop.config(other)["created"] == "1970-01-01T00:00:05Z"
    with pytest.raises(DockerfileError, match="ARG SOURCE_DATE_EPOCH=base is not a number") as told:
        workshop.build("ARG SOURCE_DATE_EPOCH=base\nFROM busybox AS base\n")
    assert told.value.line == 1


@pytest.mark.parametrize("place", ["argument", "Dockerfile"])
def test_the_context_sets_it_where_it_has_a_time(
    workshop: Workshop, tmp_path: Path, place: str
) -> None:
    """Of an archive that is the time of its newest file; of a directory there is none."""
    head = "" if place == "argument" else "ARG SOURCE_DATE_EPOCH=context\n"
    given = {} if head else {"SOURCE_DATE_EPOCH": "context"}
    text = f"{head}FROM busybox\nARG SOURCE_DATE_EPOCH\nCOPY . /\n"
    text += "RUN echo $SOURCE_DATE_EPOCH > /seen\n"
    workshop.write({"old": "old", "new": "new"})
    os.utime(workshop.context / "old", (EPOCH - 5, EPOCH - 5))
    os.utime(workshop.context / "new", (EPOCH, EPOCH))
    archive = tmp_path / "context.tar"
    with tarfile.open(archive, "w") as file:
        file.add(workshop.context / "old", "old")
        file.add(workshop.context / "new", "new")
    with archive.open("rb") as stream:
        result = build(stream, store=workshop.store, dockerfile=text.encode(), build_args=given)
    assert workshop.config(result)["created"] == TIME
    assert workshop.read(result, "/seen") == b"1500000000\n"
    local = workshop.build(text, build_args=given)
    assert workshop.read(local, "/seen") == b"\n"
    assert workshop.config(local)["created"] > "2026"
    assert [told.partition(": ")[2] for told in local.warnings] == [
        "SOURCE_DATE_EPOCH=context has no effect: the context has no time of its own"
    ]


def test_the_variable_and_the_flag_of_the_command(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": "FROM busybox\nCMD x\n"})
    command = Command(workshop.store.root, {"SOURCE_DATE_EPOCH": str(EPOCH)})
    early = command.text("build", "-q", workshop.context)
    flag = command.text("build", "-q", "--source-date-epoch=5", workshop.context)
    argument = command.text("build", "-q", "--build-arg=SOURCE_DATE_EPOCH=5", workshop.context)
    assert flag == argument != early
    with pytest.raises(AssertionError, match="--source-date-epoch=soon is not a number"):
        command.text("build", "-q", "--source-date-epoch=soon", workshop.context)
    context = command.text("build", "-q", "--source-date-epoch=context", workshop.context)
    assert context not in {flag, early}
    assert workshop.command().text("inspect", "-f", "{{.Created}}", early) == TIME


def test_squash_makes_one_layer_and_keeps_the_history(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    text = "FROM busybox\nRUN echo secret > /secret\nCOPY a /a\nRUN rm /secret /etc/group\n"
    whole = workshop.build(text)
    result = workshop.build(text, squash=True)
    assert len(result.chain) == 2
    assert result.chain[0] == whole.chain[0]
    assert workshop.store.compare(whole.chain, result.chain) == []
    assert workshop.last_layer(result) == {
        "": "directory",
        "a": "file",
        "etc": "directory",
        "etc/group": "whiteout",
    }
    history = workshop.config(result)["history"]
    assert [entry.get("empty_layer", False) for entry in history] == [False, *[True] * 3, False]
    assert history[-1]["comment"] == "merge of 3 layers"
    assert workshop.build(text, squash=True).image_id == result.image_id


def test_a_stage_runs_again_when_it_is_asked_for(workshop: Workshop) -> None:
    text = "FROM busybox AS one\nRUN echo 1\nFROM one AS two\nRUN echo 2\n"
    workshop.build(text)

    def ran(**options: Any) -> list[str]:
        steps = workshop.build(text, **options).steps
        return [step.instruction for step in steps if not step.cached]

    assert ran() == []
    assert ran(no_cache_filter=["two"]) == ["RUN echo 2"]
    assert ran(no_cache_filter=["ONE", "1"]) == ["RUN echo 1", "RUN echo 2"]
    with pytest.raises(BuildError, match="there is no stage three to run without the cache"):
        ran(no_cache_filter=["three"])


def test_annotations_and_the_metadata_file(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"Dockerfile": "FROM busybox\nCMD x\n"})
    archive, metadata, iidfile = (tmp_path / name for name in ("x.tar", "metadata", "iid"))
    workshop.command().run(
        *("build", "-t", "site", "--annotation", "one=1", "--annotation", "manifest:two=2"),
        *("-o", f"type=oci,dest={archive},annotation.Three=3", "--metadata-file", metadata),
        *("--iidfile", iidfile, workshop.context),
    )
    told = json.loads(metadata.read_text())
    with tarfile.open(archive) as opened:
        digest = told["containerimage.digest"]
        member = opened.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
        assert member is not None
        manifest = json.loads(member.read())
    assert manifest["annotations"] == {"one": "1", "two": "2", "Three": "3"}
    assert told["containerimage.descriptor"] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": len(json.dumps(manifest, separators=(",", ":"))),
        "annotations": manifest["annotations"],
    }
    assert told["containerimage.config.digest"] == iidfile.read_text()
    assert told["image.name"] == "docker.io/library/site:latest"
