"""Determinism."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from fastlayer import build
from fastlayer.store import Context, CopyOperation, CopySource

from tests.support.layers import Layers, digest_of, read_back
from tests.support.requirements import need_program
from tests.support.tar_blocks import directory, file

EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def copied(layers: Layers, context: Path) -> bytes:
    operation = CopyOperation([CopySource.context(Context(str(context)), b".")], b"/")
    return layers.tar(layers.store.copy_layer([], operation).diff_id)


def members(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getmembers()


def test_f1_order_is_by_component_and_whiteouts_come_first(layers: Layers, tmp_path: Path) -> None:
    for name in ("a/b", "a-b", "a.c", "a/Z/z", "a/.hidden", "ä"):
        (tmp_path / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "context" / name).touch()
    names = [member.name for member in members(copied(layers, tmp_path / "context"))]
    assert names == ["a", "a/.hidden", "a/Z", "a/Z/z", "a/b", "a-b", "a.c", "ä"]
    base = layers.add(directory(b"d"), file(b"d/z"), file(b"x"))
    after = layers.add(directory(b"d"), file(b"d/a"))
    squashed = layers.store.squash_layers([base], [after]).diff_id
    assert [member.name for member in members(layers.tar(squashed))] == [
        ".wh.x",
        "d",
        "d/.wh.z",
        "d/a",
    ]


def test_f2_no_names_of_users_and_only_what_does_not_fit_in_pax(
    layers: Layers, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "plain").touch()
    (context / "bin").touch()
    for name in ("user.z", "user.a", "user.m"):
        os.setxattr(context / "bin", name, b"1")
    tar = copied(layers, context)
    found = {member.name: member for member in members(tar)}
    assert all((member.uname, member.gname) == ("", "") for member in found.values())
    assert found["plain"].pax_headers == {}
    assert [tar.find(f"SCHILY.xattr.user.{name}=".encode()) for name in "amz"] == sorted(
        tar.find(f"SCHILY.xattr.user.{name}=".encode()) for name in "amz"
    )
    assert b"mtime=" not in tar


def test_f3_whiteouts_bear_nothing(layers: Layers, tmp_path: Path) -> None:
    base = layers.add(file(b"f", uid=7))
    upper = tmp_path / "upper"
    upper.mkdir()
    os.mknod(upper / "f", 0o020000, 0)
    os.utime(upper / "f", (99, 99))
    top = layers.store.diff_upper([base], str(upper), adopt=False).diff_id
    [member] = members(layers.tar(top))
    assert member.name == ".wh.f"
    assert (member.mode, member.uid, member.gid, member.mtime, member.size) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("codec", ["gzip", "zstd"], ids="F4-{}".format)
def test_f4_the_bytes_of_a_codec_depend_on_nothing_else(codec: str, layers: Layers) -> None:
    diff_id = layers.add(*(file(b"f%d" % number, b"text " * number) for number in range(2000)))
    blobs = set()
    for forget in (False, True):
        if forget:
            layers.store.trim_exports(0)
        output = os.memfd_create("blob")
        layers.store.export_blob(diff_id, codec=codec, fd=output)
        blobs.add(read_back(output))
        os.close(output)
    [blob] = blobs
    if codec == "gzip":
        assert gzip.decompress(blob) == layers.tar(diff_id)
        assert blob[3:10] == bytes([0, 0, 0, 0, 0, blob[8], 255]), "no name, no time, no system"
    else:
        plain = subprocess.run(
            [need_program("zstd"), "-dcq"], input=blob, capture_output=True, check=True
        ).stdout
        assert plain == layers.tar(diff_id)


def test_f5_the_epoch_reaches_cached_layers(layers: Layers, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").write_text("x")
    dockerfile = b"FROM scratch\nCOPY f /f\nWORKDIR /made\n"
    plain = build(context, store=layers.store, dockerfile=dockerfile)
    clamped = build(context, store=layers.store, dockerfile=dockerfile, source_date_epoch=1000)
    assert plain.chain != clamped.chain
    for entry in layers.store.walk(clamped.chain):
        assert not entry.path or entry.mtime == (1000, 0)
    again = build(context, store=layers.store, dockerfile=dockerfile, source_date_epoch=1000)
    assert again.config_digest == clamped.config_digest


def test_f6_the_empty_layer_has_its_known_name(layers: Layers, tmp_path: Path) -> None:
    assert layers.store.empty_layer().diff_id == EMPTY == digest_of(bytes(1024))
    upper = tmp_path / "upper"
    upper.mkdir()
    assert layers.store.diff_upper([], str(upper), adopt=False).diff_id == EMPTY
    assert layers.add() == EMPTY
    output = os.memfd_create("blob")
    blob = layers.store.export_blob(EMPTY, codec="gzip", fd=output)
    assert blob.digest == "sha256:" + hashlib.sha256(read_back(output)).hexdigest()
    os.close(output)
