from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from fastlayer.errors import ContainerError

from tests.support.requirements import need_core

need_core()

from fastlayer.container import scaffold  # noqa: E402
from fastlayer.store import Entry  # noqa: E402


@dataclass
class FakeEntry:
    kind: str = "directory"
    link: bytes = b""
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: tuple[int, int] = (1000, 5)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)


class FakeTree:
    def __init__(self, **entries: FakeEntry) -> None:
        self.entries = {name.replace("__", "/").encode(): e for name, e in entries.items()}

    def __call__(self, path: bytes) -> Entry | None:
        return cast("Entry | None", self.entries.get(path))


def link(target: bytes) -> FakeEntry:
    return FakeEntry("symlink", target)


TREE = FakeTree(
    etc=FakeEntry(mode=0o700),
    etc__hosts=FakeEntry("file"),
    etc__resolv=link(b"../run/r/stub"),
    run=FakeEntry(),
    abs=link(b"/etc"),
    loop=link(b"loop"),
)


@pytest.mark.parametrize(
    ("target", "directory", "components", "existing"),
    [
        ("/etc/hosts", False, (b"etc", b"hosts"), 2),
        ("/etc/name", False, (b"etc", b"name"), 1),
        ("/abs/name", False, (b"etc", b"name"), 1),
        ("/etc/resolv", False, (b"run", b"r", b"stub"), 1),
        ("/a/b/../c", True, (b"a", b"c"), 0),
        ("/etc/./../etc", True, (b"etc",), 1),
        ("/proc", True, (b"proc",), 0),
    ],
)
def test_resolve(
    target: str, directory: bool, components: tuple[bytes, ...], existing: int
) -> None:
    point = scaffold.resolve(TREE, target, is_directory=directory)
    assert (point.components, point.existing) == (components, existing)


@pytest.mark.parametrize(
    ("target", "directory"),
    [("/etc/hosts", True), ("/etc/hosts/x", True), ("/etc", False), ("/loop", True)],
)
def test_targets_that_cannot_be(target: str, directory: bool) -> None:
    with pytest.raises(ContainerError):
        scaffold.resolve(TREE, target, is_directory=directory)


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    targets = [("/proc", True), ("/etc/name", False), ("/etc/hosts", False), ("/proc/x", True)]
    assert scaffold.build(TREE, targets, tmp_path)
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert made == ["etc", "etc/name", "proc"]
    status = os.stat(tmp_path / "etc")
    assert status.st_mode & 0o7777 == 0o700
    assert status.st_mtime_ns == 1000 * 10**9 + 5
    assert os.stat(tmp_path / "proc").st_mtime_ns == 0


def test_nothing_missing_needs_no_scaffold(tmp_path: Path) -> None:
    assert not scaffold.build(TREE, [("/etc/hosts", False), ("/run", True)], tmp_path)
    assert list(tmp_path.iterdir()) == []
