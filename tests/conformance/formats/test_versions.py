"""Every format with its version changed: refused with an error and a hint, or made anew.

Nothing of another version may be taken for this one's, and nothing that another release wrote may
be removed for that. Which format does which is the table of docs/formats/README.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastlayer.cli.main import main

from tests.conformance.formats.reader import export, stat_cache, tree_index
from tests.conformance.formats.reader.hashes import checksum
from tests.conformance.formats.reader.recipe import VERSION as RECIPE_VERSION
from tests.conformance.formats.reader.refusal import OtherVersionError
from tests.conformance.formats.reader.store import StoreFiles
from tests.conformance.formats.sample import Sample

Change = Callable[[bytes, int], bytes]


@dataclass(frozen=True)
class Format:
    """Where a format's files are, its version, and how a file is given another one.

    ``refused`` are the commands that cannot do without such a file; any other may succeed.
    """

    files: str
    version: int
    change: Change
    refused: frozenset[str] = frozenset()


def in_json(data: bytes, version: int) -> bytes:
    return json.dumps({**json.loads(data), "version": version}).encode()


def behind_magic(data: bytes, version: int) -> bytes:
    return data[:8] + version.to_bytes(4, "little") + data[12:]


def sealed(data: bytes, version: int) -> bytes:
    body = behind_magic(data, version)[:-32]
    return body + checksum(body)


def in_stat_cache(data: bytes, version: int) -> bytes:
    return stat_cache.seal(data[:7] + bytes([version]) + data[8:])


def in_digits(data: bytes, version: int) -> bytes:
    """The digits alone would be damage: the rest would still be what it is named by."""
    return b"FLSEGM%02d" % version + data[:7:-1]


COMMANDS: dict[str, tuple[str, ...]] = {
    "images": ("images",),
    "inspect": ("inspect", "site"),
    "cat": ("cat", "site:/etc/passwd"),
    "df": ("system", "df"),
    "save": ("save", "-o", "OUT/archive", "site"),
    "build": ("build", "-q", "-t", "again", "OUT/context"),
    "run": ("run", "--rm", "base", "true"),
    "load": ("load", "-q", "-i", "OUT/gzip.oci"),
    "prune": ("image", "prune", "-f"),
    "fsck": ("fsck", "--level", "3"),
    "repair": ("fsck", "--repair"),
    "ps": ("ps", "-a"),
    "logs": ("logs", "box"),
}
ALL = frozenset(COMMANDS)
IMAGES = ALL - {"ps", "logs"}
REFUSED = {
    "store": Format("format.json", 1, in_json, ALL),
    "recipe": Format("recipes/*", RECIPE_VERSION, sealed, IMAGES),
    "segment": Format("segments/*/*", 1, in_digits, frozenset({"cat", "run", "fsck", "repair"})),
    "image": Format("refs/images/*", 1, in_json, IMAGES),
    "name": Format("refs/names/*", 1, in_json, IMAGES),
    "container": Format(
        "containers/*/config.json",
        1,
        in_json,
        frozenset({"ps", "logs", "prune", "df", "run"}),
    ),
}
DERIVED = {
    "tree index": Format("trees/*", tree_index.VERSION, behind_magic),
    "stat cache": Format("cache/contexts/*", stat_cache.VERSION, in_stat_cache),
    "export": Format("cache/exports/*", export.VERSION, sealed),
}


@dataclass(frozen=True)
class Copy:
    """A store of the test's own, and the command in this process."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def root(self) -> Path:
        return self.folder / "store"

    def run(self, name: str) -> tuple[int, str, str]:
        """The exit code, what was printed, and what was said of a failure."""
        words = [word.replace("OUT", str(self.folder)) for word in COMMANDS[name]]
        self.capture.readouterr()
        code = main(["--root", str(self.root), *words])
        out, err = self.capture.readouterr()
        return code, out, err

    def set_version(self, form: Format, version: int) -> dict[Path, bytes]:
        """Give every file of a format a version; gives what they are now."""
        found = {}
        for path in sorted(self.root.glob(form.files)):
            found[path] = form.change(path.read_bytes(), version)
            status = path.stat()
            path.unlink()
            path.write_bytes(found[path])
            path.chmod(status.st_mode)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert found
        return found


@pytest.fixture
def copy(small: Sample, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Copy]:
    subprocess.run(["cp", "-a", small.root, tmp_path / "store"], check=True)
    shutil.copy(small.saved["gzip"], tmp_path / "gzip.oci")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM base\nCOPY Dockerfile /here\n")
    yield Copy(tmp_path, capfd)
    shutil.rmtree(tmp_path / "store")


@pytest.mark.parametrize("step", [1, -1], ids=["newer", "older"])
@pytest.mark.parametrize("name", REFUSED)
def test_another_version_is_refused_and_stays(name: str, step: int, copy: Copy) -> None:
    form = REFUSED[name]
    version = form.version + step
    files = copy.set_version(form, version)
    wrong = []
    for command in COMMANDS:
        code, out, err = copy.run(command)
        if code == 0 and command in form.refused:
            wrong.append(f"{command} succeeded: {out[:200]}")
        elif code:
            lines = err.splitlines()
            told = [line for line in lines if line.startswith("error: ")]
            good = f"has version {version}, this release knows version {form.version} only"
            if len(told) != 1 or good not in told[0] or not lines[-1].startswith("hint: "):
                wrong.append(f"{command}: {err}")
        changed = [path for path, data in files.items() if read(path) != data]
        if changed:
            wrong.append(f"{command} changed {changed[:3]}")
    assert not wrong, "\n".join(wrong)


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("step", [1, -1], ids=["newer", "older"])
@pytest.mark.parametrize("name", DERIVED)
def test_what_is_derived_is_made_anew(name: str, step: int, copy: Copy) -> None:
    form = DERIVED[name]
    commands = ["images", "cat", "save", "build", "run", "fsck", "repair"]
    before = {command: copy.run(command)[:2] for command in commands}
    files = copy.set_version(form, form.version + step)
    after = {command: copy.run(command)[:2] for command in commands}
    timeless = {command for command in commands if command != "images"}
    assert {command: after[command] for command in timeless} == {
        command: before[command] for command in timeless
    }
    left = [path for path in files if read(path) == files[path]]
    assert len(left) < len(files)


@pytest.mark.parametrize("version", [4, 2, 0], ids=["newer", "older", "none"])
def test_a_build_cache_of_another_version_is_set_aside(version: int, copy: Copy) -> None:
    path = copy.root / "cache" / "build.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    assert copy.run("build")[0] == 0
    assert user_version(path) == 3
    assert user_version(path.with_name("build.sqlite.damaged")) == version


def user_version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def test_checkouts_of_another_kind_are_not_looked_at(copy: Copy) -> None:
    (token,) = (copy.root / "checkouts").iterdir()
    (token / "trusted-2").mkdir()
    (token / "trusted-2" / "unknown").mkdir()
    for command in ("run", "prune", "fsck", "repair"):
        assert copy.run(command)[0] == 0
    assert (token / "trusted-2" / "unknown").is_dir()


@pytest.mark.parametrize(("files", "at"), [("recipes/*", 0), ("recipes/*", 8), ("segments/*/*", 7)])
def test_a_version_that_is_damaged_is_damage(files: str, at: int, copy: Copy) -> None:
    """The digits of a segment have no checksum, but the rest of it tells that they are wrong."""
    path = min(copy.root.glob(files), key=lambda path: path.stat().st_size)
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 2
    path.chmod(0o600)
    path.write_bytes(damaged)
    code, out, err = copy.run("fsck")
    assert code == 1
    assert " problem" in err
    assert f"{path.parent.name if '*/*' in files else ''}{path.name}" in out
    copy.run("repair")
    assert read(path) != bytes(damaged)


def test_the_reader_refuses_another_store(copy: Copy) -> None:
    copy.set_version(REFUSED["store"], 2)
    with pytest.raises(OtherVersionError):
        StoreFiles(copy.root)
