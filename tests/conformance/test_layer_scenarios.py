"""Diffs and round trips that other tools' tests have, through a real overlay mount.

What a scenario expects is the set of members and what each is. Their order is ours (sorted, a
directory's whiteouts before its children), and of a group of hard links the first path is the file.
"""

from __future__ import annotations

import io
import json
import os
import socket
import tarfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastlayer.store import Store

from tests.support.layers import Layers
from tests.support.overlay_mount import overlay_mount
from tests.support.requirements import corpus, need_core, need_root

Change = dict[str, Any]
Member = tuple[str, str, str, str]
"""Kind, mode, content and the first path of the hardlink group, of one member."""


def scenarios(kind: str) -> list[Any]:
    document = json.loads((corpus("tars") / "layer-scenarios.json").read_text())
    return [pytest.param(scenario, id=scenario["id"]) for scenario in document[kind]]


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    need_root()
    need_core()
    return Layers(Store(tmp_path / "store"))


@pytest.mark.parametrize("scenario", scenarios("diff"))
def test_a_diff_has_the_members_that_are_expected(
    scenario: dict[str, Any], layers: Layers, tmp_path: Path
) -> None:
    base = commit(layers, [], scenario["a"], tmp_path / "base")
    layer = commit(layers, [base], scenario["b_changes"], tmp_path / "changes")
    if epoch := scenario.get("source_date_epoch"):
        layer = layers.store.clamp_layer(layer, seconds(epoch)).diff_id
    expected = scenario["entries"]
    found = members(layers.tar(layer))
    assert found == expected_members(expected)
    for entry in expected:
        if "mtime" in entry:
            assert mtimes(layers.tar(layer))[entry["name"]] == seconds(entry["mtime"])


@pytest.mark.parametrize("scenario", scenarios("roundtrip"))
def test_a_diff_applied_to_its_base_gives_the_tree(
    scenario: dict[str, Any], layers: Layers, tmp_path: Path
) -> None:
    *before, last = scenario["steps"]
    chain: list[str] = []
    for number, step in enumerate(before):
        chain.append(commit(layers, chain, step, tmp_path / f"step-{number}"))
    with overlay_mount(layers.store, chain, tmp_path / "last") as mount:
        for change in last:
            make(mount.merged, change)
        wanted = on_disk(mount.merged)
    layer = layers.store.diff_upper(chain, str(mount.upper), adopt=False)
    written = layers.written([*chain, layer.diff_id], tmp_path / "written")
    assert on_disk(written) == wanted


def commit(layers: Layers, chain: Sequence[str], changes: list[Change], folder: Path) -> str:
    """The layer of changes made in a mount of the chain."""
    with overlay_mount(layers.store, chain, folder) as mount:
        for change in changes:
            make(mount.merged, change)
    return layers.store.diff_upper(chain, str(mount.upper), adopt=False).diff_id


def make(root: Path, change: Change) -> None:
    place = root / change["name"].lstrip("/")
    mode = int(change.get("mode", "0644"), 8)
    match change.get("op") or change["type"]:
        case "remove" | "remove_all":
            remove(place)
        case "chmod":
            place.chmod(mode)
        case "dir":
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(mode)
        case "file":
            place.write_bytes(change["content"].encode("latin-1"))
            place.chmod(mode)
            if "mtime" in change:
                os.utime(place, (0, seconds(change["mtime"])))
        case "symlink":
            place.symlink_to(change["target"])
        case "hardlink":
            place.hardlink_to(root / change["target"].lstrip("/"))
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(place))
        case other:
            raise AssertionError(f"unknown change {other}")


def remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        for child in place.iterdir():
            remove(child)
        place.rmdir()
    else:
        place.unlink()


def seconds(text: str) -> int:
    return int(time.time() if text == "<now>" else datetime.fromisoformat(text).timestamp())


def expected_members(entries: list[Change]) -> dict[str, Member]:
    groups: dict[str, set[str]] = {}
    files = {}
    for entry in entries:
        name = entry["name"].rstrip("/")
        first = entry.get("target", name) if entry["type"] == "hardlink" else name
        groups.setdefault(first, set()).add(name)
        files[name] = entry
    found = {}
    for first, names in groups.items():
        entry = files[first]
        for name in names:
            whiteout = name.rpartition("/")[2].startswith(".wh.")
            mode = "" if whiteout else entry["mode"]
            group = min(names) if len(names) > 1 else ""
            found[name] = (entry["type"], mode, entry.get("content", ""), group)
    return found


def members(tar: bytes) -> dict[str, Member]:
    found: dict[str, Member] = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            if member.islnk():
                kind, mode, content, _ = found[member.linkname]
                found[member.linkname] = (kind, mode, content, member.linkname)
                found[member.name] = (kind, mode, content, member.linkname)
                continue
            content_file = archive.extractfile(member) if member.isreg() else None
            content = content_file.read().decode("latin-1") if content_file else ""
            whiteout = member.name.rpartition("/")[2].startswith(".wh.")
            mode = "" if whiteout else f"{member.mode:04o}"
            kind = "dir" if member.isdir() else "file"
            found[member.name] = (kind, mode, content, "")
    return found


def mtimes(tar: bytes) -> dict[str, int]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: int(member.mtime) for member in archive}


def on_disk(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything of a folder that a layer keeps; hard links by the paths that share a file."""
    inodes: dict[int, str] = {}
    found: dict[str, tuple[object, ...]] = {}
    for place in sorted(root.rglob("*")):
        status = place.lstat()
        name = str(place.relative_to(root))
        what: object = None
        if place.is_symlink():
            what = os.readlink(place)
        elif place.is_file():
            what = place.read_bytes()
        group = name if place.is_dir() else inodes.setdefault(status.st_ino, name)
        owner = (status.st_uid, status.st_gid)
        found[name] = (status.st_mode, owner, int(status.st_mtime), what, group)
    return found
