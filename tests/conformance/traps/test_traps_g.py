"""Operation of a store; power losses, kills, collection and concurrency have tests of their own."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.tar_blocks import END, file


def test_g3_a_damaged_layer_does_not_survive_being_loaded_again(
    layers: Layers, command: Command, tmp_path: Path
) -> None:
    content = b"right" * 2000
    command.run("import", "-", "site", stdin=file(b"f", content) + END)
    saved = tmp_path / "saved.tar"
    command.run("save", "-o", saved, "site")
    everything = layers.store.root.rglob("*")
    [damaged] = (path for path in everything if path.is_file() and "objects" in path.parts)
    damaged.chmod(0o600)
    damaged.write_bytes(b"wrong" * 2000)
    assert command.run("fsck", check=False).returncode != 0
    command.run("fsck", "--repair", check=False)
    command.run("rmi", "site", check=False)
    command.run("load", "-i", saved)
    assert command.run("cat", "site:/f").stdout == content
    assert command.text("fsck") == "no problems found"
