"""Setting metadata."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from fastlayer.store import Store

from tests.support.base import rootfs_tar
from tests.support.layers import Layers
from tests.support.overlay_mount import overlay_mount
from tests.support.requirements import need_program, need_root
from tests.support.tar_blocks import (
    END,
    FIFO,
    directory,
    extended,
    file,
    hardlink,
    header,
    symlink,
)
from tests.support.user_with_ids import OrdinaryUser, ordinary_user

CAPABILITY = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
ACL = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff"
ACL += b"\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff"


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()


def laid_out(layers: Layers, chain: list[str], folder: Path) -> list[Path]:
    """Folders with the tree: a checkout, and plain files."""
    return [Path(layers.store.checkout(chain).directories[0]), layers.written(chain, folder)]


def test_e1_nothing_that_is_set_undoes_another(layers: Layers, tmp_path: Path) -> None:
    records = {b"SCHILY.xattr.security.capability": CAPABILITY, b"SCHILY.xattr.user.a": b"1"}
    chain = [
        layers.add(
            extended(records) + file(b"program", b"x" * 5000, mode=0o6755, uid=1000, mtime=7),
            directory(b"sticky", mode=0o3777, uid=1000, mtime=8),
        )
    ]
    for root in laid_out(layers, chain, tmp_path / "written"):
        status = (root / "program").stat()
        assert stat.S_IMODE(status.st_mode) == 0o6755
        assert (status.st_uid, int(status.st_mtime)) == (1000, 7)
        assert os.getxattr(root / "program", "security.capability") == CAPABILITY
        assert os.getxattr(root / "program", "user.a") == b"1"
        status = (root / "sticky").stat()
        assert (stat.S_IMODE(status.st_mode), int(status.st_mtime)) == (0o3777, 8)


def run_as(user: OrdinaryUser, *words: str) -> str:
    done = user.fastlayer("--root", str(user.home / "store"), *words)
    assert done.returncode == 0, done.stdout
    return done.stdout


def import_as(user: OrdinaryUser, tar: bytes, name: str) -> None:
    path = user.home / "tar"
    path.write_bytes(tar)
    run_as(user, "import", str(path), name)


def test_e3_access_control_lists_are_set_and_seen(layers: Layers, tmp_path: Path) -> None:
    records = {b"SCHILY.xattr.system.posix_acl_access": ACL, b"SCHILY.acl.access": b"ignored"}
    chain = [layers.add(extended(records) + file(b"f", mode=0o674))]
    for root in laid_out(layers, chain, tmp_path / "written"):
        assert os.getxattr(root / "f", "system.posix_acl_access") == ACL
    with overlay_mount(layers.store, chain, tmp_path / "mount") as mount:
        os.removexattr(mount.merged / "f", "system.posix_acl_access")
    top = layers.store.diff_upper(chain, str(mount.upper), adopt=False).diff_id
    assert layers.entry([*chain, top], b"f").xattrs == {}


def test_e4_attributes_that_cannot_or_must_not_be_set(layers: Layers, tmp_path: Path) -> None:
    records = {
        b"SCHILY.xattr.user.on-a-link": b"1",
        b"SCHILY.xattr.security.selinux": b"system_u:object_r:etc_t:s0",
        b"SCHILY.xattr.trusted.local": b"1",
    }
    chain = [
        layers.add(
            extended(records) + symlink(b"l", b"f"),
            extended(records) + header(b"pipe", FIFO),
            extended(records) + file(b"f"),
        )
    ]
    for root in laid_out(layers, chain, tmp_path / "written"):
        assert os.listxattr(root / "f") == ["user.on-a-link"]
        assert os.readlink(root / "l") == "f"
        assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert layers.entry(chain, b"l").xattrs[b"user.on-a-link"] == b"1"


def test_e5_nothing_of_the_process_and_its_folders_leaks_in(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    os.setxattr(above, "system.posix_acl_default", ACL)
    os.chown(above, 0, 77)
    above.chmod(0o2755)
    before = os.umask(0o077)
    try:
        layers = Layers(Store(above / "store"))
        members = (
            directory(b"d", mode=0o777),
            file(b"d/f", b"x" * 5000, mode=0o666),
            header(b"p", FIFO, mode=0o666),
        )
        places = laid_out(layers, [layers.add(*members)], tmp_path / "written")
    finally:
        os.umask(before)
    for place in places:
        for name, mode in (("d", 0o777), ("d/f", 0o666), ("p", 0o666)):
            status = (place / name).stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (mode, 0), name
            assert os.listxattr(place / name) == [], name


def test_e6_links_have_owners_and_times_of_their_own(layers: Layers, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    os.utime(target, (1, 1))
    link = header(b"l", b"2", link=os.fsencode(target)[:100], uid=1000, mtime=42)
    for root in laid_out(layers, [layers.add(link)], tmp_path / "written"):
        status = (root / "l").lstat()
        assert (status.st_uid, int(status.st_mtime)) == (1000, 42)
    assert (target.stat().st_uid, target.stat().st_mtime) == (0, 1)


@pytest.mark.long
def test_e7_a_file_that_can_have_no_more_links_is_copied(layers: Layers, tmp_path: Path) -> None:
    content = b"x" * 5000
    first = layers.add(file(b"a", content))
    everything = layers.store.root.rglob("*")
    [object_file] = (path for path in everything if path.is_file() and "objects" in path.parts)
    folder = tmp_path / "links"
    folder.mkdir()
    try:
        for number in range(70_000):
            os.link(object_file, folder / str(number))
    except OSError as error:
        assert error.strerror == "Too many links"
    else:
        pytest.skip("this file system has no limit of links")
    [lower] = layers.store.checkout([first]).directories
    assert (Path(lower) / "a").read_bytes() == content
    assert (Path(lower) / "a").stat().st_ino != object_file.stat().st_ino


def test_e8_equal_files_are_one_inode_only_where_the_tar_says_so(
    layers: Layers, tmp_path: Path
) -> None:
    content = b"equal" * 2000
    chain = [
        layers.add(file(b"a", content), file(b"b", content), hardlink(b"c", b"a")),
        layers.add(file(b"d", content)),
        layers.add(file(b"e", content)),
    ]
    with overlay_mount(layers.store, chain, tmp_path / "mount") as mount:
        inodes = {name: (mount.merged / name).stat().st_ino for name in "abcde"}
        assert inodes["a"] == inodes["c"]
        assert len(set(inodes.values())) == 4
        tar = subprocess.run(
            [need_program("tar"), "-C", mount.merged, "-cf", "-", "."],
            check=True,
            capture_output=True,
        ).stdout
        assert tar.count(content) == 4


def test_e2_capabilities_are_those_of_the_layer_in_any_namespace() -> None:
    program = extended({b"SCHILY.xattr.security.capability": CAPABILITY})
    tar = program + file(b"program", b"x" * 5000, mode=0o755) + rootfs_tar()
    with ordinary_user(ranges=False) as user:
        import_as(user, tar, "base")
        (user.home / "Dockerfile").write_text("FROM base\nRUN chmod 700 /program\n")
        run_as(user, "build", "-o", "type=docker,dest=saved.tar,compression=none", str(user.home))
        with tarfile.open(user.home / "saved.tar") as archive:
            [document] = json.load(archive.extractfile("manifest.json") or io.BytesIO(b"[]"))
            layer = (archive.extractfile(document["Layers"][-1]) or io.BytesIO()).read()
    assert b"program" in layer
    assert b" SCHILY.xattr.security.capability=" + CAPABILITY + b"\n" in gunzipped(layer)


def gunzipped(blob: bytes) -> bytes:
    return gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob


def test_e9_and_e10_owners_and_modes_of_others() -> None:
    tar = b"".join(
        (
            directory(b"locked", mode=0o555),
            file(b"locked/f", b"y" * 5000, uid=4242),
            END,
        )
    )
    with ordinary_user(ranges=False) as user:
        import_as(user, tar, "odd")
        run_as(user, "cp", "odd:/.", "copied")
        assert "4242" in run_as(user, "ls", "-l", "odd:/locked")
        run_as(user, "save", "-o", "saved.tar", "odd")
        run_as(user, "rmi", "odd")
        run_as(user, "system", "prune", "-a", "-f")
        for place in ("objects", "segments", "checkouts"):
            folder = user.home / "store" / place
            left = [path for path in folder.rglob("*") if path.is_file()]
            assert not left, left
        # The recorded owner is the layer's, whatever could be made on disk.
        run_as(user, "load", "-i", "saved.tar")
        assert "4242" in run_as(user, "ls", "-l", "odd:/locked")
