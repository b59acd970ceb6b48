"""The comparers that the conformance tests rest on: what they must not overlook."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_pair import config_differences
from tests.support.requirements import need_root
from tests.support.tree_compare import (
    Node,
    differences,
    equal_when_new,
    merge,
    name_groups,
    read_tar,
)
from tests.support.tree_edit import acl, capability
from tests.support.tree_folder import read_folder


def _tar(*members: tuple[str, dict[str, Any], bytes]) -> dict[str, Node]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, attributes, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in attributes.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return read_tar(buffer)


DIRECTORY = {"type": tarfile.DIRTYPE, "mode": 0o755}


def test_every_field_of_a_file_counts() -> None:
    tree = _tar(("d/", DIRECTORY, b""), ("d/f", {"mode": 0o644, "mtime": 7}, b"x"))
    assert differences(tree, tree, ignore_fields=()) == []
    changes: list[tuple[str, Any]] = [
        *(("mode", 0o4755), ("uid", 1), ("gid", 1), ("digest", ""), ("mtime", 8)),
        *(("xattrs", (("user.a", "b"),)), ("link_group", "d/g"), ("kind", "fifo")),
    ]
    for field, value in changes:
        other = {**tree, "d/f": replace(tree["d/f"], **{field: value})}
        (line,) = differences(tree, other, ignore_fields=())
        assert line.startswith(f"/d/f: {field} ")
    assert differences(tree, {}) == ["/d: missing", "/d/f: missing"]
    assert differences({}, {"x": tree["d/f"]}) == ["/x: not expected"]


def test_a_tree_on_disk_is_that_of_its_tar(tmp_path: Path) -> None:
    need_root()
    root = tmp_path / "root"
    fill(root)
    tar = tmp_path / "root.tar"
    options = ["--format=pax", "--xattrs", "--xattrs-include=*", "--sort=name"]
    command = ["tar", "-C", str(root), *options, "-cf", str(tar), "."]
    subprocess.run(command, check=True, capture_output=True)
    tree = read_folder(root)
    assert differences(name_groups(read_tar(tar)), tree, ignore_fields=(), ignore_paths=()) == []
    assert {path: node.link_group for path, node in tree.items() if node.link_group} == {
        "dir/linked": "dir/linked",
        "file": "dir/linked",
    }
    assert [name for name, _ in tree["file"].xattrs] == [
        *("security.capability", "system.posix_acl_access", "user.note"),
    ]


CHANGES: dict[str, Callable[[Path], object]] = {
    "mode": lambda path: os.chmod(path, 0o4755),
    "uid": lambda path: os.chown(path, 7, -1),
    "gid": lambda path: os.chown(path, -1, 7),
    "mtime": lambda path: os.utime(path, (1, 1)),
    "digest": lambda path: path.write_text("y"),
    "size": lambda path: os.truncate(path, 5),
    "xattrs": lambda path: os.setxattr(path, "user.note", b"other"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_on_disk_counts(tmp_path: Path, field: str) -> None:
    need_root()
    (tmp_path / "alone").write_text("x")
    os.utime(tmp_path / "alone", (5, 5))
    before = read_folder(tmp_path)
    CHANGES[field](tmp_path / "alone")
    if field != "mtime":
        os.utime(tmp_path / "alone", (5, 5))
    found = differences(before, read_folder(tmp_path), ignore_fields=())
    assert {line.split()[1] for line in found} <= {field, "digest"}
    assert field in {line.split()[1] for line in found}


def test_devices_and_links_on_disk_count(tmp_path: Path) -> None:
    need_root()
    for folder, minor in (("one", 3), ("two", 5)):
        (tmp_path / folder).mkdir()
        os.mknod(tmp_path / folder / "device", stat.S_IFCHR | 0o600, os.makedev(1, minor))
        os.symlink(folder, tmp_path / folder / "link")
        (tmp_path / folder / "a").touch()
        if folder == "one":
            os.link(tmp_path / folder / "a", tmp_path / folder / "b")
        else:
            (tmp_path / folder / "b").touch()
    one, two = (read_folder(tmp_path / folder) for folder in ("one", "two"))
    assert differences(one, two) == [
        *("/a: link_group 'a' != ''", "/b: link_group 'a' != ''"),
        *("/device: device (1, 3) != (1, 5)", "/link: link 'one' != 'two'"),
    ]


def fill(root: Path) -> None:
    """One of each kind of file, and of each kind of attribute."""
    (root / "dir").mkdir(parents=True)
    (root / "file").write_bytes(b"x" * 100)
    os.link(root / "file", root / "dir" / "linked")
    os.symlink("../file", os.fsencode(root / "dir") + b"/\xff")
    os.mkfifo(root / "pipe")
    os.mknod(root / "disk", stat.S_IFBLK | 0o640, os.makedev(7, 9))
    os.chown(root / "pipe", 4_000_000_000, 5)
    os.chmod(root / "dir", 0o3771)
    user, group, other = ((tag, 6, 0xFFFFFFFF) for tag in (0x01, 0x04, 0x20))
    entries = (user, (0x02, 7, 1000), group, (0x10, 5, 0xFFFFFFFF), other)
    os.setxattr(root / "file", "system.posix_acl_access", acl(*entries))
    os.setxattr(root / "file", "user.note", b"\0\n\xff=")
    os.setxattr(root / "file", "security.capability", capability(0x2000))
    for path in (root / "file", root / "dir"):
        os.utime(path, ns=(999_999_999, 1_000_999_999_999))


def test_only_times_of_the_run_are_alike() -> None:
    tree = _tar(("f", {"mtime": 5}, b""), ("g", {"mtime": 200}, b""), ("h", {"mtime": 300}, b""))
    times = {path: node.mtime for path, node in equal_when_new(tree, 100.5).items()}
    assert times == {"f": 5, "g": 100, "h": 100}


def test_layers_are_merged_as_an_engine_does() -> None:
    link = {"type": tarfile.LNKTYPE, "linkname": "a/one"}
    lower = _tar(
        ("a/", DIRECTORY, b""),
        ("a/one", {}, b"1"),
        ("a/two", link, b""),
        ("b/", DIRECTORY, b""),
        ("b/x", {}, b"x"),
        ("c/", DIRECTORY, b""),
        ("c/x", {}, b"x"),
    )
    upper = _tar(
        *(("a/.wh.one", {}, b""), ("b/.wh..wh..opq", {}, b""), ("b/y", {}, b"y"), ("c", {}, b"c"))
    )
    merged = merge([lower, upper])
    assert sorted(merged) == ["a", "a/two", "b", "b/y", "c"]
    assert merged["a/two"].link_group == ""
    assert merge([lower])["a/two"].link_group == "a/one"


def test_every_key_of_a_configuration_counts() -> None:
    left = {
        "config": {"Env": ["a=b"], "Labels": None},
        "history": [{"created_by": "EXPOSE [1/tcp]"}],
    }
    right = {
        "config": {"Env": ["a=b"], "Image": "x"},
        "history": [{"created_by": "EXPOSE map[1/tcp:{}]"}],
    }
    assert config_differences(left, right) == []
    other = {**right, "config": {"Env": ["a=c"], "Cmd": ["x"]}, "author": "me", "history": []}
    assert [line.split(":")[0] for line in config_differences(left, other)] == [
        *("author", "config.Cmd", "config.Env", "history"),
    ]
    flags = {"history": [{"created_by": "COPY --chown=1:1 --chmod=1 a b"}]}
    assert config_differences(flags, {"history": [{"created_by": "COPY a b"}]}) == []
    changed = {"history": [{"created_by": "COPY a c", "empty_layer": True}]}
    assert len(config_differences(flags, changed)) == 2
