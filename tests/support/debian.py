"""The debootstrapped Debian base of the tests that run real programs: made once, then cached."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.requirements import REPOSITORY, need_program, need_root


def debian_tar() -> Path:
    """The tar of a minimal Debian root file system; made by ``scripts/make-base.sh``."""
    need_root()
    named = os.environ.get("FASTLAYER_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tar = (Path(named) if named else home / "fastlayer") / "debian-bookworm.tar"
    if not tar.exists():
        need_program("debootstrap")
        subprocess.run([REPOSITORY / "scripts" / "make-base.sh", tar], check=True, timeout=600)
    return tar
