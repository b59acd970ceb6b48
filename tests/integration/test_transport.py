"""Archives exchanged with the tools that people have: skopeo, umoci and podman.

The image is a busybox base with two layers and a name of its own. No network is used.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from tests.support.base import have_busybox, rootfs_tar
from tests.support.command import Command
from tests.support.requirements import missing, need_core, need_program, need_root

NAME = "example.com/team/base:1"
CHANGE = 'CMD ["sh", "-c", "echo hello"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_core()
    if not have_busybox():
        missing("needs Debian's busybox-static")
    return tmp_path_factory.mktemp("transport")


@pytest.fixture(scope="module")
def fastlayer(folder: Path) -> Command:
    command = Command(folder / "store", {"SOURCE_DATE_EPOCH": "1700000000"})
    command.run("import", "-", NAME, "-c", CHANGE, stdin=rootfs_tar())
    return command


@pytest.fixture(scope="module")
def archive(folder: Path, fastlayer: Command) -> Path:
    path = folder / "base.tar"
    fastlayer.run("save", "-o", path, NAME)
    return path


def skopeo(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = need_program("skopeo")
    done = subprocess.run([program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done


def other(folder: Path, name: str) -> Command:
    """A second store, as on another machine."""
    return Command(folder / f"store-{name}")


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            entry.name: (archive.extractfile(entry) or io.BytesIO()).read()
            for entry in archive
            if entry.isfile()
        }


def layer_tars(path: Path) -> list[str]:
    """DiffIDs of the layers that manifest.json names, from their bytes."""
    files = members(path)
    (document,) = json.loads(files["manifest.json"])
    blobs = [files[name] for name in document["Layers"]]
    plain = [gzip.decompress(b) if b.startswith(b"\x1f\x8b") else b for b in blobs]
    return ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in plain]


def test_the_diff_id_is_that_of_the_tar_as_given(fastlayer: Command, archive: Path) -> None:
    (document,) = json.loads(fastlayer.text("inspect", NAME))
    assert document["RootFS"]["Layers"] == ["sha256:" + hashlib.sha256(rootfs_tar()).hexdigest()]
    assert layer_tars(archive) == document["RootFS"]["Layers"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_every_blob_has_the_digest_it_is_named_by(
    folder: Path, fastlayer: Command, compression: str
) -> None:
    path = folder / f"{compression}.tar"
    fastlayer.run("save", "--compression", compression, "-o", path, NAME)
    again = folder / "again.tar"
    fastlayer.run("save", "--compression", compression, "-o", again, NAME)
    assert path.read_bytes() == again.read_bytes()
    piped = fastlayer.run("save", "--compression", compression, NAME).stdout
    assert piped == path.read_bytes()
    for name, content in members(path).items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(content).hexdigest() == name.rpartition("/")[2]
    target = other(folder, compression)
    assert target.text("load", "-i", path) == f"Loaded image: {NAME}"
    identifier = fastlayer.text("inspect", "-f", "{{.Id}}", NAME)
    assert target.text("inspect", "-f", "{{.Id}}", NAME) == identifier
    assert target.text("cat", f"{NAME}:/etc/passwd").startswith("root:x:0:0")


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_skopeo_reads_what_save_writes(fastlayer: Command, archive: Path, transport: str) -> None:
    done = skopeo("inspect", "--config", f"{transport}:{archive}")
    assert json.loads(done.stdout)["config"]["Cmd"] == ["sh", "-c", "echo hello"]
    done = skopeo("inspect", f"{transport}:{archive}")
    assert json.loads(done.stdout)["Architecture"]


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes_comes_back_bit_for_bit(
    folder: Path, fastlayer: Command, archive: Path, form: str
) -> None:
    path = folder / f"skopeo-{form}"
    skopeo("copy", f"oci-archive:{archive}", f"{form}:{path}:site/app:2")
    target = other(folder, f"skopeo-{form}")
    assert target.text("load", "-i", path) == "Loaded image: site/app:2"
    (ours,) = json.loads(fastlayer.text("inspect", NAME))
    (theirs,) = json.loads(target.text("inspect", "site/app:2"))
    assert theirs["RootFS"] == ours["RootFS"]
    assert theirs["Config"] == ours["Config"]
    back = folder / f"back-{form}.tar"
    done = target.run("save", "-o", back, "site/app:2")
    assert done.stderr == b""
    assert layer_tars(back) == ours["RootFS"]["Layers"]
    if form == "docker-archive":
        assert theirs["Id"] == ours["Id"]
        return
    # An OCI image comes back with its manifest and the blobs it was made of.
    manifest = theirs["Descriptor"]["digest"]
    files = members(back)
    blob = files["blobs/sha256/" + manifest.removeprefix("sha256:")]
    assert "sha256:" + hashlib.sha256(blob).hexdigest() == manifest
    source = (
        members(path)
        if path.is_file()
        else {
            p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()
        }
    )
    for layer in json.loads(blob)["layers"]:
        name = "blobs/sha256/" + layer["digest"].removeprefix("sha256:")
        assert files[name] == source[name]
    assert target.text("fsck") == "no problems found"


def test_the_old_docker_form_with_links(folder: Path, fastlayer: Command, archive: Path) -> None:
    """skopeo writes Docker's old layout: a directory a layer, links, repositories."""
    path = folder / "old.tar"
    skopeo("copy", f"docker-archive:{archive}", f"docker-archive:{path}:old:1")
    with tarfile.open(path) as tar:
        assert any(entry.issym() for entry in tar)
    target = other(folder, "old")
    compressed = folder / "old.tar.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes(), 1))
    done = target.run("load", stdin=compressed.read_bytes())
    assert done.stdout == b"Loaded image: old:1\n"


def test_umoci_unpacks_what_save_writes(folder: Path, archive: Path) -> None:
    umoci = need_program("umoci")
    need_root()
    layout = folder / "layout"
    with tarfile.open(archive) as tar:
        tar.extractall(layout, filter="data")
    bundle = folder / "bundle"
    command = [umoci, "unpack", "--image", f"{layout}:1", str(bundle)]
    subprocess.run(command, check=True, capture_output=True)
    assert (bundle / "rootfs/bin/busybox").stat().st_mode & 0o777 == 0o755
    assert (bundle / "rootfs/tmp").stat().st_mode & 0o7777 == 0o1777
    shutil.rmtree(bundle)


def test_podman_loads_and_saves(folder: Path, fastlayer: Command, archive: Path) -> None:
    podman = need_program("podman")
    need_root()
    # podman refuses a long run root.
    short = tempfile.mkdtemp(prefix="podman-", dir="/tmp")
    base = [podman, "--root", str(folder / "podman"), "--runroot", short]
    base += ["--storage-driver=vfs", "--cgroup-manager=cgroupfs"]

    def run(*arguments: str) -> bytes:
        done = subprocess.run([*base, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    try:
        assert NAME.encode() in run("load", "-i", str(archive))
        identifier = fastlayer.text("inspect", "-f", "{{.Id}}", NAME).removeprefix("sha256:")
        assert run("inspect", "-f", "{{.Id}}", NAME).strip().decode() == identifier
        for form in ("docker-archive", "oci-archive"):
            path = folder / f"podman-{form}.tar"
            run("save", "--format", form, "-o", str(path), NAME)
            target = other(folder, f"podman-{form}")
            assert target.text("load", "-i", path) == f"Loaded image: {NAME}"
            assert target.text("ls", f"{NAME}:/bin").splitlines()[:2] == ["[", "[["]
    finally:
        shutil.rmtree(folder / "podman", ignore_errors=True)
        shutil.rmtree(short, ignore_errors=True)


def test_a_truncated_archive_leaves_nothing(folder: Path, archive: Path) -> None:
    target = other(folder, "truncated")
    data = archive.read_bytes()
    for length in (1000, len(data) // 2, len(data) - 4096):
        done = target.run("load", stdin=data[:length], check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ")
        assert target.text("images", "-q") == ""


def test_a_wrong_byte_in_a_layer_leaves_nothing(
    folder: Path, fastlayer: Command, archive: Path
) -> None:
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    target = other(folder, "wrong")
    done = target.run("load", stdin=bytes(data), check=False)
    assert done.returncode == 1
    assert b"layer blobs/sha256/" in done.stderr
    assert target.text("images", "-q") == ""


def test_images_and_rmi(folder: Path, fastlayer: Command, archive: Path) -> None:
    target = other(folder, "images")
    target.run("load", "-q", "-i", archive)
    target.run("tag", NAME, "second")
    lines = target.text("images").splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert {line.split()[0] for line in lines[1:]} == {"example.com/team/base", "second"}
    assert target.text("rmi", "second") == "Untagged: second:latest"
    assert target.text("rmi", NAME).startswith(f"Untagged: {NAME}\nDeleted: sha256:")
    assert target.text("images", "-q") == ""
    done = target.run("history", NAME, check=False)
    assert done.returncode == 1
    assert b"error: no such image" in done.stderr


def test_ls_and_cat(fastlayer: Command) -> None:
    assert fastlayer.text("ls", f"{NAME}:/etc").split() == ["group", "passwd"]
    lines = fastlayer.text("ls", "-l", f"{NAME}:/").splitlines()
    assert [line.split()[0] for line in lines if line.endswith(" tmp")] == ["drwxrwxrwt"]
    assert "[ -> busybox" in fastlayer.text("ls", "-l", f"{NAME}:/bin")
    done = fastlayer.run("cat", f"{NAME}:/nothing", check=False)
    assert (done.returncode, b"error: no such file" in done.stderr) == (1, True)


def test_a_damaged_root_tar_is_refused_by_name(folder: Path) -> None:
    target = other(folder, "damaged")
    for data in (rootfs_tar()[:100_000], gzip.compress(rootfs_tar())[:-20], b"no tar" * 500):
        path = folder / "damaged"
        path.write_bytes(data)
        done = target.run("import", path, "x", check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {path}: ".encode()), done.stderr
        assert target.text("images", "-q") == ""
