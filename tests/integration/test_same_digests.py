"""One context, one image: wherever, whenever, in whatever order, and by whomever it is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.base import have_busybox
from tests.support.build_digests import (
    EPOCH,
    BuildDigests,
    build_digests,
    layers_of,
    write_context,
)
from tests.support.command import Command
from tests.support.file_system import place
from tests.support.requirements import missing, need_core, need_root
from tests.support.user_with_ids import OrdinaryUser, ordinary_user

need_root()
need_core()

FLAG = f"--source-date-epoch={EPOCH}"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> BuildDigests:
    """The digests of one build, which all others must give."""
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    folder = tmp_path_factory.mktemp("expected")
    return build_digests(Command(folder / "store"), write_context(folder / "context"), FLAG)


def test_in_another_folder_with_entries_in_another_order(
    tmp_path: Path, expected: BuildDigests
) -> None:
    """In memory, where a directory lists what was made last first; in another zone and language."""
    with place("tmpfs", tmp_path, 256 << 20) as folder:
        context = write_context(folder / "some" / "where" / "else", backwards=True)
        assert os.listdir(context / "tree") != os.listdir(
            write_context(folder / "forwards") / "tree"
        )
        elsewhere = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "C", "PYTHONHASHSEED": "7"}
        assert build_digests(Command(folder / "store", elsewhere), context, FLAG) == expected


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_with_any_umask(tmp_path: Path, expected: BuildDigests, umask: int) -> None:
    context = write_context(tmp_path / "context")
    assert build_digests(Command(tmp_path / "store"), context, FLAG, umask=umask) == expected


def test_with_one_thread(tmp_path: Path, expected: BuildDigests) -> None:
    processors = os.sched_getaffinity(0)
    assert len(processors) > 1 or missing("needs two processors")
    os.sched_setaffinity(0, {min(processors)})
    try:
        context = write_context(tmp_path / "context")
        assert build_digests(Command(tmp_path / "store"), context, FLAG) == expected
    finally:
        os.sched_setaffinity(0, processors)


def test_with_layers_cached_without_the_epoch_or_with_another(
    tmp_path: Path, expected: BuildDigests
) -> None:
    context, command = write_context(tmp_path / "context"), Command(tmp_path / "store")
    plain = build_digests(command, context)
    early = build_digests(command, context, "--source-date-epoch=5")
    assert build_digests(command, context, FLAG) == expected
    # And with part of it cached: the first file that changed is back.
    (context / "tree" / "c").write_bytes(b"other")
    build_digests(command, context)
    shutil.rmtree(context)
    assert build_digests(command, write_context(context, backwards=True), FLAG) == expected
    assert len({plain.image, early.image, expected.image}) == 3


def test_each_way_to_say_the_epoch(tmp_path: Path, expected: BuildDigests) -> None:
    context, command = write_context(tmp_path / "context"), Command(tmp_path / "store")
    variable = Command(command.root, {"SOURCE_DATE_EPOCH": str(EPOCH)})
    assert build_digests(variable, context) == expected
    argument = f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}"
    assert build_digests(command, context, argument) == expected
    assert build_digests(variable, context, "--build-arg=SOURCE_DATE_EPOCH") == expected


def test_copies_agree_without_an_epoch(tmp_path: Path) -> None:
    """Their DiffIDs follow from the context's contents, modes and times alone."""
    layers = []
    with place("tmpfs", tmp_path, 256 << 20) as memory:
        for folder, backwards, umask in ((tmp_path, False, 0o022), (memory, True, 0o077)):
            context = write_context(folder / "context", backwards=backwards)
            command = Command(folder / "store")
            words = ("build", "-q", "-t", "built", "-f", context / "Dockerfile.copies", context)
            command.run(*words, umask=umask)
            layers.append(layers_of(command, "built"))
    assert layers[0] == layers[1]
    assert len(layers[0]) == 7


@pytest.mark.parametrize(
    "kind", [pytest.param("ext4", marks=pytest.mark.long), "xfs", "tmpfs", "overlay"]
)
def test_on_every_file_system(tmp_path: Path, expected: BuildDigests, kind: str) -> None:
    """Store and context lie there; over an overlay steps run in a plain tree."""
    with place(kind, tmp_path, 256 << 20) as folder:
        context = write_context(folder / "context")
        assert build_digests(Command(folder / "store"), context, FLAG) == expected


@pytest.fixture(scope="module", params=["ranges", "single"])
def user(request: pytest.FixtureRequest) -> Iterator[OrdinaryUser]:
    with ordinary_user(ranges=request.param == "ranges") as made:
        yield made
        # What other ids own is removed by the user's own command, too.
        done = made.fastlayer("builder", "prune", "--all", "--force")
        assert done.returncode == 0, done.stdout


def test_as_an_ordinary_user(
    user: OrdinaryUser, expected: BuildDigests, request: pytest.FixtureRequest
) -> None:
    """With a range of ids all layers are root's; with a single id those that no RUN made."""
    context = write_context(user.home / "context")
    for path in [context, *context.rglob("*")]:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    ranges = request.node.callspec.params["user"] == "ranges"
    dockerfile = context / ("Dockerfile" if ranges else "Dockerfile.copies")
    words = ("build", "--progress=plain", FLAG, "-t", "built", "-f", str(dockerfile), str(context))
    done = user.fastlayer(*words)
    assert done.returncode == 0, done.stdout
    shown = user.fastlayer("inspect", "-f", "{{json .RootFS.Layers}}", "built")
    layers = tuple(shown.stdout.strip().strip("[]").replace('"', "").split(","))
    assert layers == (expected.layers if ranges else expected.layers[: len(layers)])
    assert len(layers) == (12 if ranges else 7)
