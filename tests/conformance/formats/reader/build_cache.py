"""The build cache's files: docs/formats/build-cache.md."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.formats.reader.refusal import OtherVersionError

VERSION = 3


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step that ran: from which tree, to which layer and tree."""

    input_tree: str
    diff_id: str
    tree: str
    created: str
    size: int
    description: str


def read_chain_trees(root: Path) -> dict[str, str]:
    """The tree ids of chains, by the chains' names."""
    with _opened(root) as database:
        return dict(database.execute("SELECT chain, tree FROM chain_tree"))


def chain_name(diff_ids: Sequence[str]) -> str:
    """The name of a chain."""
    return key(b"fastlayer chain v1", [diff_ids])


def key(domain: bytes, groups: Sequence[Sequence[str]]) -> str:
    """A key, over groups of texts."""
    person = hashlib.blake2b(domain, digest_size=16).digest()
    state = hashlib.blake2b(digest_size=32, person=person)
    for texts in groups:
        state.update(len(texts).to_bytes(8, "big"))
        for text in texts:
            data = text.encode()
            state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()


def read_steps(root: Path) -> list[StepRecord]:
    """The records of steps."""
    with _opened(root) as database:
        rows = database.execute(
            "SELECT input_tree, diff_id, tree, created, size, description FROM step"
        )
        return [StepRecord(*row) for row in rows]


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(root / "cache" / "build.sqlite")) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise OtherVersionError(f"a build cache of version {version}")
        yield database
