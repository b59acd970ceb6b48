"""The trees that failed steps of builds left, each as an image that nothing lists.

A failed tree can be run like an image, by an id that the error told. It is no image: it has no
name, is in no listing, and goes with the build cache, or when newer ones have come.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from fastlayer.errors import DocumentError
from fastlayer.image.image import Image
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.digest import encoded
from fastlayer.store import Store, disk_usage

KEPT = 8
"""How many are kept; the oldest go first."""

_ID_LENGTH = 12
_ID = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{52})?")


class FailedSteps:
    """The failed trees of one store.

    Parameters
    ----------
    store:
        Where their layers are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._folder = store.root / "cache" / "failed"

    def keep(self, config: ImageConfig) -> str:
        """Keep a tree and what it is run with; gives its id.

        Raises
        ------
        OSError
            It cannot be written.
        """
        identifier = encoded(config.digest)[:_ID_LENGTH]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._oldest_first()[: -(KEPT - 1)]:
            path.unlink(missing_ok=True)
        new = self._folder / f".{os.urandom(8).hex()}"
        new.write_bytes(config.to_json())
        os.replace(new, self._folder / identifier)
        return identifier

    def find(self, text: str) -> Image | None:
        """The tree of an id, as an image; ``None`` where there is none, or its layers are gone."""
        if not _ID.fullmatch(text):
            return None
        try:
            data = (self._folder / text[:_ID_LENGTH]).read_bytes()
            config = ImageConfig.from_json(data, f"failed step {text}")
        except (FileNotFoundError, DocumentError):
            return None
        if any(self._store.layer(diff_id) is None for diff_id in config.diff_ids):
            return None
        return Image(id=config.digest, config=config)

    def needed(self) -> set[str]:
        """Digests of the layers of all of them: what collection keeps."""
        found = (self.find(path.name) for path in self._oldest_first())
        return {diff_id for image in found if image is not None for diff_id in image.chain}

    def size(self) -> int:
        """Bytes of disk of what is kept of them, apart from their layers."""
        return sum(disk_usage(path) for path in self._oldest_first())

    def forget(self) -> int:
        """Forget all of them; gives the bytes of disk given back, apart from their layers."""
        size = self.size()
        for path in self._oldest_first():
            path.unlink(missing_ok=True)
        return size - self.size()

    def _oldest_first(self) -> list[Path]:
        found: list[tuple[float, Path]] = []
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found)]
