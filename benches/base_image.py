"""The base of all measured builds: a minimal Debian as a docker archive, made once."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benches.rounds import run_process

BASE = "bench-base:1"
IMAGE = "bench-image:1"


def fastlayer_words(root: Path) -> list[str]:
    """The measured command, as it is installed, with a store."""
    script = Path(sys.executable).with_name("fastlayer")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "fastlayer.cli"]
    return [*command, "--root", str(root)]


def base_archive(cache: Path) -> Path:
    """The base as a docker archive (about 130 MB)."""
    archive = cache / "bench-base.tar"
    if not archive.exists():
        root_tar = cache / "debian-bookworm.tar"
        run_process(["scripts/make-base.sh", root_tar])
        with tempfile.TemporaryDirectory(dir=cache) as store:
            words = fastlayer_words(Path(store))
            run_process([*words, "import", "-c", 'CMD ["bash"]', root_tar, BASE])
            part = archive.with_name("bench-base.tar.part")
            run_process([*words, "save", "--compression", "none", "-o", part, BASE])
        part.rename(archive)
    return archive
