"""zstd:chunked as podman knows it: pulled as a whole and in part, and beside what podman writes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.private_registry import Registry, private_registry
from tests.support.requirements import need_core, need_program, need_root

_UNKNOWN = "0001-01-01T00:00:00Z"
PREFIX = "io.github.containers.zstd-chunked."
_STORAGE = """[storage]
driver = "overlay"
graphroot = "{root}"
runroot = "{run}"
[storage.options]
pull_options = {{enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}}
"""


def tree(edited: int = -1) -> bytes:
    """The tar of a tree with 200 files, of which one may have another content."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, data: bytes = b"", **fields: Any) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), 1_700_000_000, 0o644
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))

        add("data", type=tarfile.DIRTYPE, mode=0o755, uid=5, gid=6)
        for number in range(200):
            content = random.Random(-1 if number == edited else number).randbytes(20_000)
            add(f"data/file-{number}", content)
        add("data/large", random.Random(9).randbytes(1_500_000))
        add("data/holes", b"a" * 700 + bytes(50_000) + b"b" * 5000 + bytes(2000))
        add("data/empty")
        add("data/set-user-id", b"#!/bin/sh\n", mode=0o4755)
        add("data/symlink", type=tarfile.SYMTYPE, linkname="file-1")
        add("data/hardlink", type=tarfile.LNKTYPE, linkname="data/file-2")
        add("data/pipe", type=tarfile.FIFOTYPE)
        name = "long/" * 30 + "name"
        add(name, b"x", pax_headers={"SCHILY.xattr.user.note": "value"})
    return output.getvalue()


@dataclass(frozen=True)
class Setting:
    folder: Path
    fastlayer: Command
    registry: Registry
    podman_folder: Path

    def podman(self, *arguments: str) -> str:
        """Run podman on a storage of its own, with partial pulls; gives its debug messages."""
        path = {"CONTAINERS_STORAGE_CONF": str(self.podman_folder / "storage.conf")}
        done = subprocess.run(
            [need_program("podman"), "--log-level=debug", *arguments],
            env={**os.environ, **path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def push(self, version: str) -> str:
        """Bring a saved image to the registry; gives its name there.

        podman before 4.5 looks for the table under another name, which we do not write since it
        does not read owners from tables: it is added here, to have a puller that uses the table.
        """
        name = f"{self.registry.address}/site:{version}"
        archive = self.folder / f"{version}.oci"
        self.fastlayer.run(
            "save", "--compression", "zstd:chunked", "-o", archive, f"site:{version}"
        )
        layout = self.folder / f"{version}.layout"
        shutil.rmtree(layout, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(layout, filter="data")
        _rename_annotations(layout)
        copy = [need_program("skopeo"), "copy", "--dest-tls-verify=false"]
        done = subprocess.run(
            [*copy, f"oci:{layout}:{version}", f"docker://{name}"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return name

    def fetch(self, path: str) -> bytes:
        """What the registry has at a path of the repository ``site``."""
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        request = urllib.request.Request(
            f"http://{self.registry.address}/v2/site/{path}", headers=accept
        )
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())


def _rename_annotations(layout: Path) -> None:
    index = json.loads((layout / "index.json").read_text())
    (pointer,) = index["manifests"]
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / pointer["digest"].removeprefix("sha256:")).read_text())
    for layer in manifest["layers"]:
        for key, value in tuple(layer["annotations"].items()):
            layer["annotations"][key.replace("io.github.containers.", "io.containers.")] = value
    data = json.dumps(manifest).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    pointer.update(digest="sha256:" + digest, size=len(data))
    (layout / "index.json").write_text(json.dumps(index))


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    need_core()
    need_root()
    for program in ("podman", "skopeo", "zstd"):
        need_program(program)
    folder = tmp_path_factory.mktemp("chunked")
    fastlayer = Command(folder / "store")
    fastlayer.run("import", "-", "site:1", stdin=tree())
    fastlayer.run("import", "-", "site:2", stdin=tree(edited=7))
    # podman refuses a long run root.
    short = Path(tempfile.mkdtemp(prefix="podman-", dir="/tmp"))
    (short / "storage.conf").write_text(_STORAGE.format(root=short / "root", run=short / "run"))
    try:
        with private_registry(folder) as registry:
            yield Setting(folder, fastlayer, registry, short)
    finally:
        unmount = ["podman", "--root", str(short / "root"), "--runroot", str(short / "run")]
        subprocess.run([*unmount, "image", "unmount", "--all"], capture_output=True, check=False)
        subprocess.run(["umount", str(short / "root/overlay")], capture_output=True, check=False)
        shutil.rmtree(short, ignore_errors=True)


def plain(data: bytes) -> bytes:
    """What zstd's own program makes of a blob."""
    done = subprocess.run(
        [need_program("zstd"), "-dc"], input=data, capture_output=True, check=True
    )
    return done.stdout


@dataclass(frozen=True)
class Blob:
    layer: dict[str, Any]
    data: bytes

    def table(self) -> list[dict[str, Any]]:
        """The rows of the table of contents, found as a puller finds them."""
        notes = self.layer["annotations"]
        offset, length, size, kind = map(int, notes[PREFIX + "manifest-position"].split(":"))
        stored = self.data[offset : offset + length]
        digest = "sha256:" + hashlib.sha256(stored).hexdigest()
        assert (digest, kind) == (notes[PREFIX + "manifest-checksum"], 1)
        table = plain(stored)
        assert len(table) == size
        rows: list[dict[str, Any]] = json.loads(table)["entries"]
        return rows


def pushed(setting: Setting, version: str) -> Blob:
    manifest = json.loads(setting.fetch(f"manifests/{version}"))
    (layer,) = manifest["layers"]
    # podman writes the former names only.
    notes = layer["annotations"]
    for key in tuple(notes):
        notes.setdefault(key.replace("io.containers.", "io.github.containers."), notes[key])
    return Blob(layer, setting.fetch(f"blobs/{layer['digest']}"))


def test_podman_pulls_what_it_lacks_and_the_tree_is_right(setting: Setting) -> None:
    received = []
    for version in ("1", "2"):
        name = setting.push(version)
        before = len(setting.registry.blob_answers())
        log = setting.podman("pull", "--tls-verify=false", name)
        assert "Retrieved partial blob" in log
        answers = setting.registry.blob_answers()[before:]
        digest = pushed(setting, version).layer["digest"]
        parts = [answer for answer in answers if answer[0].endswith(digest)]
        assert {status for _, status, _ in parts} == {206}, "never the whole blob"
        received.append(sum(size for _, _, size in parts))
    whole = len(tree())
    assert received[0] > whole * 0.9
    assert received[1] < whole * 0.05, "one file of 200 was another"
    exported = setting.podman_folder / "tree.tar"
    setting.podman("create", "--name", "site", f"{setting.registry.address}/site:2", "x")
    setting.podman("export", "-o", str(exported), "site")
    with tarfile.open(exported) as found, tarfile.open(fileobj=io.BytesIO(tree(7))) as expected:
        for entry in filter(tarfile.TarInfo.isreg, expected):
            same = found.getmember(entry.name)
            assert same.mode & 0o7777 == entry.mode
            left, right = found.extractfile(same), expected.extractfile(entry)
            assert left is not None
            assert right is not None
            assert left.read() == right.read(), entry.name


def test_the_table_is_the_one_that_podman_writes(setting: Setting) -> None:
    archive = setting.folder / "plain.oci"
    setting.fastlayer.run("save", "--compression", "none", "-o", archive, "site:1")
    # The same image with other layers is a conflict to podman.
    setting.podman("rmi", "--all", "--force")
    setting.podman("pull", f"oci-archive:{archive}")
    identifier = setting.fastlayer.text("inspect", "-f", "{{.Id}}", "site:1")
    name = f"{setting.registry.address}/site:peer"
    setting.podman(
        "push",
        "--tls-verify=false",
        "--compression-format=zstd:chunked",
        "--format=oci",
        identifier.removeprefix("sha256:"),
        name,
    )
    setting.push("1")
    ours, theirs = pushed(setting, "1"), pushed(setting, "peer")
    assert plain(ours.data) == tree()
    # podman 4.3 loses zeros at the end of the tar.
    assert plain(theirs.data).rstrip(b"\0") == tree().rstrip(b"\0")

    def rows(blob: Blob) -> list[dict[str, Any]]:
        found = []
        for row in blob.table():
            for place in ("offset", "endOffset"):
                row.pop(place, None)
            for time in ("modtime", "accesstime", "changetime"):
                # podman 4.3 writes times that are not known as those of the year 1.
                row[time] = datetime.fromisoformat(row.get(time, _UNKNOWN))
            found.append(row)
        return found

    assert rows(ours) == rows(theirs)


def test_the_footer_and_the_tar(setting: Setting) -> None:
    setting.push("1")
    blob = pushed(setting, "1")
    *numbers, magic = struct.unpack("<7Q8s", blob.data[-64:])
    assert magic == b"GNUlInUx"
    notes = blob.layer["annotations"]
    positions = notes[PREFIX + "manifest-position"], notes[PREFIX + "tarsplit-position"]
    assert numbers == [int(number) for text in positions for number in text.split(":")]
    archive = setting.folder / "1.oci"
    other = Command(setting.folder / "other")
    other.run("load", "-i", archive)
    assert other.text("inspect", "-f", "{{json .RootFS}}", "site:1") == setting.fastlayer.text(
        "inspect", "-f", "{{json .RootFS}}", "site:1"
    )
    again = other.run("save", "--compression", "zstd:chunked", "site:1").stdout
    assert again == archive.read_bytes(), "a pipe gets what a file gets, also the first time"
    assert other.run("save", "--compression", "zstd:chunked", "site:1").stdout == again


def test_what_has_no_such_form_is_refused(setting: Setting) -> None:
    twice = io.BytesIO()
    with tarfile.open(fileobj=twice, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
        tar.addfile(tarfile.TarInfo("a"))
    setting.fastlayer.run("import", "-", "twice:1", stdin=twice.getvalue())
    output = setting.folder / "refused.tar"
    done = setting.fastlayer.run(
        "save", "--compression", "zstd:chunked", "-o", output, "twice:1", check=False
    )
    assert done.returncode != 0
    assert b"has no zstd:chunked form: a is in it twice\nhint: compress with zstd" in done.stderr
    assert not output.exists()
    context = setting.folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM site:1\n")
    build = ["build", "-q", "-o"]
    done = setting.fastlayer.run(
        *build, "type=docker,compression=zstd:chunked,dest=x.tar", context, check=False
    )
    assert done.returncode != 0
    assert b"hint: write type=oci" in done.stderr
    written = setting.folder / "built.tar"
    setting.fastlayer.run(*build, f"type=oci,compression=zstd:chunked,dest={written}", context)
    with tarfile.open(written) as tar:
        assert pushed(setting, "1").layer["digest"].replace("sha256:", "blobs/sha256/") in (
            tar.getnames()
        )
