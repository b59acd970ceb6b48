"""What a user is told when something is wrong, and that the store is as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archives import Members, layout, tar_of
from tests.support.base import rootfs_tar, write_rootfs_tar
from tests.support.busybox_store import busybox_store, remove_containers
from tests.support.command import Command
from tests.support.failure import Failure
from tests.support.ordinary_user import USER, as_ordinary_user, user_folder
from tests.support.requirements import need_core, need_root
from tests.support.store_state import StoreState, assert_no_leftovers, staging

COMPRESSORS = {"plain": ["cat"], "gzip": ["gzip", "-nc"], "zstd": ["zstd", "-qc"]}


@pytest.fixture
def fastlayer(tmp_path: Path) -> Iterator[Command]:
    command = busybox_store(tmp_path)
    yield command
    remove_containers(command)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def fails(fastlayer: Command, *arguments: str | Path, more_layers: bool = False) -> Failure:
    """Run what must fail, and assert that it left the store as it was."""
    before = StoreState.of(fastlayer.root)
    failure = Failure.of(fastlayer.run(*arguments, check=False, timeout=60))
    before.assert_same(StoreState.of(fastlayer.root), more_layers=more_layers)
    assert staging(fastlayer.root) == []
    assert_no_leftovers(fastlayer.root)
    return failure


def build_fails(fastlayer: Command, context: Path, dockerfile: str) -> Failure:
    (context / "Dockerfile").write_text(dockerfile)
    return fails(fastlayer, "build", "-q", "-t", "never", context)


# Dockerfiles and their contexts.


def test_an_unknown_instruction_has_a_suggestion(fastlayer: Command, context: Path) -> None:
    failure = build_fails(fastlayer, context, "FROM base\n\nCOPPY a b\n")
    assert failure.error == "Dockerfile:3: unknown instruction: COPPY"
    assert failure.excerpt == "  3:1 | COPPY a b\n      | ^^^^^"
    assert failure.hint == "did you mean COPY?"
    assert failure.code == 1


@pytest.mark.parametrize("source", ["nope", "dir/nope", "../secret", "/../../secret"])
def test_a_source_that_is_not_in_the_context(
    fastlayer: Command, context: Path, source: str
) -> None:
    (context / "dir").mkdir()
    (context.parent / "secret").write_text("secret")
    failure = build_fails(fastlayer, context, f"FROM base\nCOPY {source} /x\n")
    assert failure.error == f"Dockerfile:2: {source}: not found in the build context"
    assert "build context" in failure.hint


@pytest.mark.parametrize("source", ["link", "up/file"])
def test_a_link_out_of_the_context_is_not_followed(
    fastlayer: Command, context: Path, source: str
) -> None:
    outside = context.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (context / "link").symlink_to("/etc/passwd")
    (context / "up").symlink_to("../outside")
    failure = build_fails(fastlayer, context, f"FROM base\nCOPY {source} /x\n")
    assert failure.error.startswith(f"Dockerfile:2: {source}: ")
    assert failure.error.endswith("not in the build context") or failure.error.endswith(
        "not found in the build context"
    )
    assert "build context" in failure.hint


def test_a_file_that_the_ignore_file_leaves_out(fastlayer: Command, context: Path) -> None:
    (context / "kept").write_text("x")
    (context / ".dockerignore").write_text("kept\n")
    failure = build_fails(fastlayer, context, "FROM base\nCOPY kept /x\n")
    assert failure.error == ("Dockerfile:2: kept: left out of the build context by the ignore file")
    assert "build context" in failure.hint


def test_a_missing_base_says_how_to_get_it(fastlayer: Command, context: Path) -> None:
    failure = build_fails(fastlayer, context, "FROM base AS x\nFROM some/thing:1\nRUN true\n")
    assert failure.error == "Dockerfile:2: image docker.io/some/thing:1 is not in the store"
    assert failure.hint.startswith("skopeo copy docker://docker.io/some/thing:1 oci-archive:x.tar")
    assert failure.hint.endswith("&& fastlayer load -i x.tar")


def test_a_failing_run_passes_its_code_on(fastlayer: Command, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM base\nRUN echo kept > /kept\n\nRUN echo seen; sleep 100 & exit 42\n"
    )
    failure = fails(fastlayer, "build", "-t", "never", context, more_layers=True)
    assert failure.code == 42
    assert failure.error == "Dockerfile:4: RUN echo seen; sleep 100 & exit 42: exit code 42"
    assert re.search(r"^#\d+ [\d.]+ seen$", failure.before, re.MULTILINE)
    again = fastlayer.run("build", "-t", "never", context, check=False)
    assert b"CACHED" in again.stderr, "the step before it is kept"


def test_a_context_that_is_no_directory(fastlayer: Command, context: Path) -> None:
    file = context / "file"
    file.write_text("FROM base\n")
    failure = fails(fastlayer, "build", file)
    assert failure.error == f"build context {file} is not a directory"
    assert failure.hint == f"give the directory, and the Dockerfile with -f {file}"
    missing = fails(fastlayer, "build", context / "nowhere")
    assert missing.error == f"build context {context}/nowhere does not exist"
    assert missing.hint


def test_an_empty_context(fastlayer: Command, context: Path) -> None:
    failure = fails(fastlayer, "build", context)
    assert failure.error == f"there is no Dockerfile in {context}"
    assert failure.hint == "give its path with -f, or make one"


def as_user(folder: Path, *arguments: str | Path) -> Failure:
    """Run a command that must fail as an ordinary user, who cannot start our interpreter."""
    need_root()
    need_core()
    from fastlayer.cli.main import main

    words = [str(word) for word in arguments]
    os.chown(folder, USER, USER)
    code, told = folder / "code", folder / "told"

    def work() -> None:
        with told.open("w") as stream, contextlib.redirect_stderr(stream):
            result = main(words)
        code.write_text(str(result))

    as_ordinary_user(work)
    done = subprocess.CompletedProcess(words, int(code.read_text()), b"", told.read_bytes())
    return Failure.of(done)


def test_a_file_of_the_context_that_may_not_be_read(tmp_path: Path) -> None:
    need_core()
    with user_folder() as folder:
        context = folder / "context"
        context.mkdir()
        for name, mode in {"open": 0o644, "closed": 0o000}.items():
            (context / name).write_text(name)
            (context / name).chmod(mode)
        (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        for path in (context, *context.iterdir()):
            os.chown(path, USER, USER)
        import_all(tmp_path, context)
        failure = as_user(folder, "--root", folder / "store", "build", "-q", context)
        assert failure.error == (f"Dockerfile:2: {context}/closed: cannot open: permission denied")
        assert failure.hint == "make it readable, or leave it out with .dockerignore"
        assert not (folder / "store" / "refs" / "images").exists()


def import_all(folder: Path, context: Path) -> None:
    """Build once as root, so that an ordinary user need not find any module."""
    from fastlayer.cli.main import main

    assert main(["--root", str(folder / "warm"), "build", "-q", str(context)]) == 0


# Archives.


def compressed(data: bytes, how: str) -> bytes:
    return subprocess.run(COMPRESSORS[how], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("how", list(COMPRESSORS))
def test_a_truncated_tar_is_not_imported(fastlayer: Command, tmp_path: Path, how: str) -> None:
    whole = compressed(rootfs_tar(), how)
    path = tmp_path / "cut.tar"
    for fraction in (0.0, 0.0001, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * fraction)])
        failure = fails(fastlayer, "import", path, "never", more_layers=not fraction)
        assert failure.error.startswith(f"{path}: ")
        assert failure.hint


@pytest.mark.parametrize("how", list(COMPRESSORS))
def test_a_truncated_archive_is_not_loaded(fastlayer: Command, tmp_path: Path, how: str) -> None:
    fastlayer.run("save", "--compression", "gzip", "-o", tmp_path / "whole.tar", "base")
    whole = compressed((tmp_path / "whole.tar").read_bytes(), how)
    fastlayer.run("rmi", "base")
    fastlayer.run("builder", "prune", "-f")
    path = tmp_path / "cut.tar"
    for fraction in (0.0, 0.0001, 0.001, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * fraction)])
        failure = fails(fastlayer, "load", "-i", path)
        assert failure.error.startswith(f"{path}: ")
        assert failure.hint
    path.write_bytes(whole)
    fastlayer.run("load", "-i", path)
    assert fastlayer.text("run", "--rm", "base", "echo", "ok") == "ok"


def test_what_is_no_archive(fastlayer: Command, tmp_path: Path) -> None:
    missing = fails(fastlayer, "import", tmp_path / "nowhere.tar")
    assert missing.error == f"{tmp_path}/nowhere.tar: No such file or directory"
    folder = fails(fastlayer, "import", tmp_path)
    assert folder.error == f"{tmp_path}: is a directory"
    assert "tar -C" in folder.hint
    text = tmp_path / "text"
    text.write_text("hello\n" * 1000)
    for verb in (("import",), ("load", "-i")):
        failure = fails(fastlayer, *verb, text)
        assert failure.error.startswith(f"{text}: ")
        assert failure.hint


def wrong_layouts() -> dict[str, tuple[Members, str]]:
    """Layouts in each of which one blob is not what its name says; and that blob's part."""
    from tests.support.archives import blob_name, config_of

    layer = tar_of({"file": b"content" * 3000})
    config = config_of(layer)
    good = layout("docker.io/library/never:latest", config, layer)
    manifest = next(
        name
        for name, data in good.items()
        if isinstance(data, bytes) and name.startswith("blobs") and b'"layers"' in data
    )
    found = {}
    for part, name in {
        "layer": blob_name(layer),
        "config": blob_name(config),
        "manifest": manifest,
    }.items():
        data = good[name]
        assert isinstance(data, bytes)
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        found[part] = ({**good, name: changed}, name.rpartition("/")[2])
    return found


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
@pytest.mark.parametrize("form", ["archive", "directory"])
def test_a_wrong_digest_is_not_loaded(
    fastlayer: Command, tmp_path: Path, part: str, form: str
) -> None:
    members, digest = wrong_layouts()[part]
    path = tmp_path / "layout"
    if form == "archive":
        path.write_bytes(tar_of(members))
    else:
        for name, data in members.items():
            assert isinstance(data, bytes)
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    failure = fails(fastlayer, "load", "-i", path)
    assert failure.error.startswith(f"{path}: ")
    assert "digest" in failure.error
    assert digest in failure.error
    assert failure.hint


# Names.


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("save", "nosuch", "-o", "x"), "no such image: nosuch"),
        (("history", "nosuch"), "no such image: nosuch"),
        (("rmi", "nosuch"), "no such image: nosuch"),
        (("tag", "nosuch", "x"), "no such image: nosuch"),
        (("run", "nosuch"), "no such image: nosuch"),
        (("commit", "nosuch", "x"), "no such container: nosuch"),
        (("start", "nosuch"), "no such container: nosuch"),
        (("logs", "nosuch"), "no such container: nosuch"),
        (("cat", "base:/nosuch"), "no such file or directory: /nosuch"),
        (("ls", "base:/nosuch"), "no such file or directory: /nosuch"),
    ],
)
def test_what_is_not_there_is_named(
    fastlayer: Command, arguments: tuple[str, ...], error: str
) -> None:
    failure = fails(fastlayer, *arguments)
    assert error in failure.error


# Stores.


def test_a_directory_that_is_no_store(tmp_path: Path) -> None:
    need_core()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    failure = Failure.of(Command(folder).run("images", check=False))
    assert failure.error == f"{folder}: is neither empty nor a fastlayer store"
    assert os.listdir(folder) == ["precious"]
    file = Failure.of(Command(folder / "precious").run("images", check=False))
    assert f"{folder}/precious" in file.error


def test_a_newer_store_is_refused(fastlayer: Command) -> None:
    form = fastlayer.root / "format.json"
    good = form.read_text()
    form.write_text(good.replace('"version": 1', '"version": 2'))
    failure = Failure.of(fastlayer.run("images", check=False))
    known = "this release knows version 1 only"
    assert failure.error == f"the store {fastlayer.root} has version 2, {known}"
    assert failure.hint
    form.write_text(good)
    fastlayer.run("fsck")


def test_somebody_elses_store(tmp_path: Path) -> None:
    need_root()
    need_core()
    root = tmp_path / "store"
    command = Command(root)
    command.run("import", write_rootfs_tar(tmp_path / "base.tar"), "base")
    os.chown(root, USER, USER)
    for arguments in (("images",), ("import", str(tmp_path / "base.tar"), "x"), ("fsck",)):
        failure = Failure.of(command.run(*arguments, check=False))
        assert failure.error == f"store {root}: belongs to user {USER}, not to user 0"
        assert failure.hint == "name another store with --root or $FASTLAYER_ROOT"
    os.chown(root, 0, 0)
    assert StoreState.of(root).refs


def test_a_store_that_may_not_be_entered(tmp_path: Path) -> None:
    need_core()
    Command(tmp_path / "store").run("images")
    with user_folder() as folder:
        (tmp_path / "store").rename(folder / "store")
        failure = as_user(folder, "--root", folder / "store", "images")
        assert f"{folder}/store" in failure.error
        assert "--root" in failure.hint
