"""Builds in tests: a store with the busybox base, and a context that is written as a mapping."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlayer import BuildResult, Store, build

from tests.support.base import import_base
from tests.support.command import Command


@dataclass(frozen=True, slots=True)
class Workshop:
    """A store, and a context directory."""

    store: Store
    context: Path

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files of the context; a name that ends in a slash is a directory."""
        for name, content in files.items():
            path = self.context / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def build(self, dockerfile: str, **options: Any) -> BuildResult:
        """Build from a Dockerfile's text."""
        return build(self.context, store=self.store, dockerfile=dockerfile.encode(), **options)

    def config(self, result: BuildResult) -> Any:
        """The config document of a built image."""
        return json.loads(self.store.get_document(result.config_digest))

    def read(self, result: BuildResult, path: str) -> bytes:
        """A file of a built image."""
        return self.store.read(result.chain, path.lstrip("/").encode())

    def stat(self, result: BuildResult, path: str) -> tuple[str, int, int, int]:
        """Kind, mode, uid and gid of a path, links not followed."""
        entry = self.store.stat(result.chain, path.lstrip("/").encode(), follow=False)
        assert entry is not None, f"{path} is missing"
        return entry.kind, entry.mode, entry.uid, entry.gid

    def has(self, result: BuildResult, path: str) -> bool:
        """Whether a path is there."""
        found = self.store.stat(result.chain, path.lstrip("/").encode(), follow=False)
        return found is not None

    def last_layer(self, result: BuildResult) -> dict[str, str]:
        """The last layer's entries: path and kind."""
        entries = self.store.layer_entries(result.chain[-1])
        return {entry.path.decode(): entry.kind for entry in entries}

    def command(self) -> Command:
        """The command on the same store."""
        return Command(self.store.root)

    def touch_all(self) -> None:
        """Give every file and directory of the context a new time."""
        for path in [self.context, *self.context.rglob("*")]:
            os.utime(path, (1_900_000_000, 1_900_000_000), follow_symlinks=False)


def make_workshop(folder: Path) -> Workshop:
    """A new workshop below a folder, with the base ``busybox``."""
    context = folder / "context"
    context.mkdir()
    store = Store(folder / "store")
    import_base(store)
    return Workshop(store, context)
