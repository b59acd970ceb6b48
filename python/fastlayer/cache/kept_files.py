"""Small files that save the next build time: stat caches of contexts, and servers' answers.

Each can be removed at any time: a build that finds none reads or asks again
(docs/formats/build-cache.md). Its time of modification is when it was last of use.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from fastlayer.store import disk_usage
from fastlayer.value import Value

CONTEXTS = "cache/contexts"
"""Where the stat caches of contexts are, below the store's directory."""

ANSWERS = "cache/http"
"""Where it is kept what servers said of files, below the store's directory."""

KINDS = {"source.local": CONTEXTS, "source.http": ANSWERS}
"""What such files are called beside steps and cache mounts."""


class KeptFile(Value, kw_only=False):
    """One of them: ``size`` is bytes of disk, ``used`` seconds since the epoch."""

    kind: str
    key: str
    size: int
    used: float


class KeptFiles:
    """Those of one store; ``root`` is the store's directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def records(self) -> list[KeptFile]:
        """All of them, the last used first."""
        found = []
        for kind, folder in KINDS.items():
            with contextlib.suppress(FileNotFoundError):
                for path in sorted((self._root / folder).iterdir()):
                    with contextlib.suppress(FileNotFoundError):
                        used = path.stat().st_mtime
                        found.append(KeptFile(kind, path.name, disk_usage(path), used))
        return sorted(found, key=lambda file: -file.used)

    def remove(self, file: KeptFile) -> int:
        """Remove one; gives the bytes of disk given back, none where it is gone."""
        path = self._root / KINDS[file.kind] / file.key
        size = disk_usage(path)
        try:
            path.unlink()
        except FileNotFoundError:
            return 0
        return size


def note_use(path: Path) -> None:
    """Note that a file is of use now; no error where there is none."""
    with contextlib.suppress(OSError):
        os.utime(path)
