"""Layers that try to reach the host, by every way in which a tree is written or read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastlayer.errors import FastlayerError
from fastlayer.store import CopyOperation, CopySource

from tests.support.base import have_busybox, rootfs_tar
from tests.support.canary import Canary, make_canary
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.requirements import corpus, missing, need_root
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

Chain = list[bytes]
"""The tars of an image's layers without their ends, the base's first."""


def attacks(outside: bytes) -> dict[str, Chain]:
    """Images that would change or show the tree at ``outside`` if anything were taken literally."""
    up = b"../" * 24 + outside[1:]
    link, climb = symlink(b"out", outside), symlink(b"out", up)
    through = file(b"out/secret", b"overwritten") + file(b"out/added", b"planted")
    cleared = file(b"out/.wh.secret") + file(b"out/shared/.wh..wh..opq")
    claimed = directory(b"out", mode=0o777, uid=1000) + directory(b"out/shared", mode=0o777)
    return {
        "link-same-layer": [link + through],
        "link-lower-layer": [link, through],
        "climbing-link": [climb + through],
        "climbing-link-lower": [climb, through],
        "whiteouts-through-link": [link, cleared],
        "whiteouts-through-climbing-link": [climb + cleared],
        "directory-over-link": [link, claimed],
        "hardlink-through-link": [link + hardlink(b"taken", b"out/secret")],
        "hardlink-absolute": [hardlink(b"taken", outside + b"/secret")],
        "hardlink-by-pax": [extended({b"linkpath": outside + b"/secret"}) + hardlink(b"t", b"x")],
        "symlink-by-pax": [extended({b"linkpath": outside}) + symlink(b"out", b"x"), through],
        "chmod-of-link": [
            header(b"secret", b"2", link=outside + b"/secret", mode=0o4777, uid=1000)
            + hardlink(b"again", b"secret")
            + extended({b"SCHILY.xattr.user.planted": b"1"})
            + symlink(b"marked", outside + b"/secret"),
        ],
        "root-is-a-link": [symlink(b"./", outside) + file(b"secret", b"overwritten")],
        "root-is-a-file": [file(b"./", b"x") + file(b"secret", b"overwritten")],
        "link-chain": [
            symlink(b"a", b"b") + symlink(b"b", b"c") + symlink(b"c", outside),
            file(b"a/secret", b"overwritten"),
        ],
        "link-in-circles": [symlink(b"out", b"out"), file(b"out/secret", b"overwritten")],
        "link-swapped": [
            directory(b"out") + file(b"out/secret", b"1") + link + through,
        ],
        "name-upwards": [file(b"../secret", b"overwritten")],
        "name-through-proc": [symlink(b"out", b"/proc/self/root" + outside) + through],
        "name-through-descriptor": [symlink(b"out", b"/proc/self/fd/3") + through],
        "pipe-in-place": [header(b"secret", FIFO), file(b"secret/x", b"1")],
        "second-archive": [file(b"f", b"1") + END + link + through],
    }


NAMES = sorted(attacks(b"/x"))
QUICK = {"link-lower-layer", "climbing-link", "chmod-of-link", "root-is-a-link"}
"""With all commands always; the others too where there is time."""
COMMANDED = [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in NAMES]


def chain_of(layers: Layers, name: str, canary: Canary) -> list[str]:
    """The attack's layers, on a base with a shell where the machine has one."""
    tars = attacks(os.fsencode(canary.path))[name]
    return [layers.take(tar + END).diff_id for tar in tars]


@pytest.mark.parametrize("name", NAMES)
def test_no_way_of_the_library_leads_out(
    name: str, layers: Layers, canary: Canary, tmp_path: Path
) -> None:
    chain = chain_of(layers, name, canary)
    context = [layers.add(directory(b"context"), file(b"context/f", b"copied"))]

    def copy_from_it(path: bytes) -> str:
        operation = CopyOperation([CopySource.tree(chain, path)], b"/copy/")
        return layers.store.copy_layer([], operation).diff_id

    def copy_into_it(destination: bytes, mode: str | None = None) -> None:
        """A file; with a mode a folder, and an owner too, as of ``--chmod`` and ``--chown``."""
        source = CopySource.tree(context, b"context" if mode else b"context/f")
        owner = (1000, 1000) if mode else None
        operation = CopyOperation([source], destination, mode=mode, owner=owner)
        both = [*chain, layers.store.copy_layer(chain, operation).diff_id]
        layers.store.checkout(both)
        layers.written(both, tmp_path / f"into-{destination.hex()}-{mode}")

    ways: Sequence[Callable[[], object]] = (
        lambda: layers.store.checkout(chain),
        lambda: layers.written(chain, tmp_path / "written"),
        lambda: layers.tree_tar(chain),
        lambda: layers.store.tree_id(chain),
        lambda: layers.store.squash_layers([], chain),
        lambda: layers.store.read(chain, b"out/secret"),
        lambda: layers.store.read(chain, b"taken"),
        lambda: layers.store.list(chain, b"out"),
        lambda: layers.written([copy_from_it(b".")], tmp_path / "from-all"),
        lambda: layers.written([copy_from_it(b"out/secret")], tmp_path / "from-file"),
        lambda: layers.written([copy_from_it(b"*")], tmp_path / "from-glob"),
        lambda: copy_into_it(b"/out/secret"),
        lambda: copy_into_it(b"/out/new/"),
        lambda: copy_into_it(b"/secret"),
        lambda: copy_into_it(b"/out/owned", "4777"),
        lambda: copy_into_it(b"/out", "4777"),
        lambda: copy_into_it(b"/", "4777"),
    )
    for way in ways:
        try:
            shown = way()
        except FastlayerError as error:
            assert "the host's secret" not in str(error)
        else:
            assert b"the host's secret" not in shown if isinstance(shown, bytes) else True
        canary.assert_untouched()
    assert not holds_secret(tmp_path, canary)
    assert layers.store.fsck() == []


def holds_secret(folder: Path, canary: Canary) -> bool:
    """Whether the secret's bytes came to any place but their own."""
    for place in folder.rglob("*"):
        if place.is_relative_to(canary.path) or place.is_symlink() or not place.is_file():
            continue
        if b"the host's secret" in place.read_bytes():
            return True
    return False


@pytest.mark.parametrize("name", COMMANDED)
def test_no_command_leads_out(
    name: str, layers: Layers, command: Command, canary: Canary, tmp_path: Path
) -> None:
    if not have_busybox():
        missing("needs a static busybox: install Debian's busybox-static")
    tars = attacks(os.fsencode(canary.path))[name]
    base = layers.take(rootfs_tar()).diff_id
    (tmp_path / "context").mkdir()
    for number, tar in enumerate(tars):
        (tmp_path / "context" / f"{number}.tar").write_bytes(tar + END)
    command.run("import", "-", "base", stdin=layers.tar(base))
    adds = "".join(f"ADD {number}.tar /\n" for number in range(len(tars)))
    script = "cat /out/secret /taken /secret; echo new > /out/secret; chmod 777 /out /secret; true"
    for dockerfile, words in (
        (f"FROM base\n{adds}", ["-t", "added"]),
        (f"FROM base\n{adds}RUN {script}\nWORKDIR /out/w\nRUN pwd\n", ["-t", "ran"]),
        (f"FROM base\n{adds}", ["-o", f"type=local,dest={tmp_path / 'local'}"]),
        (f"FROM base AS a\n{adds}FROM scratch\nCOPY --from=a / /\n", ["-t", "copied"]),
    ):
        done = command.run(
            "build", *words, "-f", "-", tmp_path / "context", stdin=dockerfile.encode(), check=False
        )
        assert b"the host's secret" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        canary.assert_untouched()
    for words in (
        ["cp", "ran:/.", str(tmp_path / "out")],
        ["cp", "-L", "ran:/out", str(tmp_path / "followed")],
        ["cat", "ran:/out/secret"],
        [
            "run",
            "--rm",
            "-w",
            "/out/w",
            "-v",
            f"{tmp_path / 'context'}:/out/v",
            "added",
            "ls",
            "/out",
        ],
    ):
        done = command.run(*words, check=False)
        assert b"the host's secret" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        canary.assert_untouched()
    assert not holds_secret(tmp_path, canary)


def corpus_layers() -> list[Any]:
    document = json.loads((corpus("tars") / "layer-scenarios.json").read_text())
    found = [one for one in document["apply"] if "layer" in one]
    return [pytest.param(one, id=one["id"]) for one in found]


@pytest.mark.parametrize("scenario", corpus_layers())
def test_layers_of_other_tools_tests_stay_inside(
    scenario: dict[str, Any], layers: Layers, tmp_path: Path
) -> None:
    """Their paths ``../victim`` and the like lead to the canary from where they are written."""
    need_root()
    victim = make_canary(tmp_path / "victim")
    inside = tmp_path / "dest"
    inside.mkdir()
    chain = []
    for part in ("pre", "layer"):
        tar = b"".join(member(entry) for entry in scenario.get(part, []))
        chain.append(layers.take(tar + END).diff_id)
    before = sorted(os.listdir(tmp_path))
    for way in (
        lambda: layers.store.write_tree(chain, str(inside)),
        lambda: layers.store.checkout(chain),
        lambda: layers.store.squash_layers([], chain),
    ):
        try:
            way()
        except FastlayerError:
            continue
    assert sorted(os.listdir(tmp_path)) == before
    victim.assert_untouched()


def member(entry: dict[str, Any]) -> bytes:
    kinds = {"dir": b"5", "symlink": b"2", "hardlink": b"1", "fifo": b"6"}
    kind = kinds.get(entry["type"], b"0")
    content = entry.get("content", "").encode("latin-1") if kind == b"0" else b""
    mode = int(entry.get("mode", "0755" if kind == b"5" else "0644"), 8)
    name, link = entry["name"].encode(), entry.get("target", "").encode()
    long = extended({b"path": name}) if len(name) > 100 else b""
    return (
        long
        + header(name, kind, size=len(content), mode=mode, link=link)
        + content
        + bytes(-len(content) % 512)
    )
