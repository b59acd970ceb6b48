"""Which record may be used, and the memory of tree ids: the cache as the builder sees it.

A record counts only while its layer is in the store. With ``use`` off (``--no-cache``) no earlier
record is looked at, but results are recorded for later builds. Safe to use from several threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fastlayer.cache.explanation import differing, listed, settings
from fastlayer.cache.index import CacheIndex, StepRecord
from fastlayer.cache.keys import KeyParts, chain_name


class MadeLayer(Protocol):
    """What the cache asks of a layer that was made."""

    @property
    def diff_id(self) -> str:
        """Its name."""


class Difference(Protocol):
    """What the cache asks of a difference of two trees."""

    @property
    def kind(self) -> str:
        """``A``, ``C`` or ``D``."""

    @property
    def path(self) -> bytes:
        """Where."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What differs, for a ``C``."""


BUDGET_VARIABLE = "FASTLAYER_CACHE_MAX_BYTES"
"""Overrides how many bytes the layers of the cache may use."""
BUDGET_SHARE = 10
"""One part in so many of the disk is the cache's, where nothing else is said."""


def cache_budget(root: Path) -> int:
    """Bytes of disk that the layers of a store's cache may use, apart from those of images.

    Parameters
    ----------
    root:
        The store's directory.
    """
    text = os.environ.get(BUDGET_VARIABLE, "")
    if text.isdecimal():
        return int(text)
    status = os.statvfs(root)
    return status.f_blocks * status.f_frsize // BUDGET_SHARE


class LayerSource(Protocol):
    """What the cache asks of the store."""

    def layer(self, diff_id: str) -> object | None:
        """What is known of a layer, ``None`` where it is not there."""

    def tree_id(self, chain: Sequence[str]) -> str:
        """The tree id of a chain."""

    def clamp_layer(self, diff_id: str, epoch: int) -> MadeLayer:
        """The layer without times after ``epoch``."""

    def compare(self, before: Sequence[str], after: Sequence[str]) -> Sequence[Difference]:
        """The differences of two trees."""


class StepCache:
    """The cache of one store, for the time of one build.

    Parameters
    ----------
    store:
        Where layers are.
    path:
        The index's file.
    use:
        Whether earlier records may be used.
    strict:
        Whether steps start from DiffIDs instead of tree ids (``--cache-mode=strict``).
    """

    def __init__(
        self, store: LayerSource, path: Path, *, use: bool = True, strict: bool = False
    ) -> None:
        self._store = store
        self._index = CacheIndex(path)
        self.use = use
        self._strict = strict
        self._trees: dict[str, str] = {}
        self._used_keys: list[str] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Note what was used, and close the index."""
        with self._lock:
            self._index.touch(self._used_keys, list(self._trees))
            self._used_keys = []
        self._index.close()

    def tree(self, chain: Sequence[str]) -> str:
        """What a step on this chain starts from: its tree id, or its DiffIDs when strict."""
        name = chain_name(chain)
        if self._strict:
            return name
        with self._lock:
            known = self._trees.get(name) or self._index.tree_of(name)
        if known is None:
            known = self._store.tree_id(chain)
            self._index.remember_tree(name, known)
        with self._lock:
            self._trees[name] = known
        return known

    def lookup(self, parts: KeyParts) -> StepRecord | None:
        """The record of this very step, if it may be used."""
        if not self.use or parts.inputs is None:
            return None
        return self._usable(self._index.find(parts.key()))

    def may_match(self, parts: KeyParts) -> bool:
        """Whether some inputs could make :meth:`lookup` find a record of this step."""
        instruction = parts.fingerprints()["instruction"]
        return self.use and self._index.has_any(parts.tree, instruction)

    def same_result(self, parts: KeyParts, tree: str) -> StepRecord | None:
        """An earlier run of the instruction, from the same tree to the same tree.

        Early cut-off: other inputs or settings, same result. Only the same instruction counts, for
        trees are compared without times: ``RUN touch`` must not become the ``RUN true`` before it.
        """
        if not self.use or self._strict:
            return None
        instruction = parts.fingerprints()["instruction"]
        return self._usable(self._index.find_result(parts.tree, instruction, tree))

    def record(self, record: StepRecord, chain: Sequence[str]) -> None:
        """Keep what a step gave; ``chain`` is the one that its result is."""
        self._index.put(record)
        if not self._strict:
            name = chain_name(chain)
            self._index.remember_tree(name, record.tree)
            with self._lock:
                self._trees[name] = record.tree

    def clamp(self, diff_id: str, epoch: int) -> str:
        """The layer without times after ``epoch`` seconds, made once; gives its DiffID."""
        known = self._index.clamped(diff_id, epoch)
        if known is not None and self._store.layer(known) is not None:
            return known
        made = self._store.clamp_layer(diff_id, epoch).diff_id
        self._index.remember_clamped(diff_id, epoch, made)
        return made

    def previous(self, place: str) -> StepRecord | None:
        """The last record of the same instruction of the same Dockerfile, if any may be used."""
        return self._index.last_at(place) if self.use else None

    def miss_reason(self, parts: KeyParts, last: StepRecord, written: str) -> str:
        """Why a step was not found: what differs from an earlier record of it.

        Parts without inputs leave open whether those differ; :meth:`copied_changes` tells which
        files do.

        Parameters
        ----------
        parts:
            What the step depends on.
        last:
            The record it is compared with.
        written:
            The instruction, as a record describes it.
        """
        now = parts.fingerprints()
        if parts.inputs is None:
            del now["inputs"]
        changed = [part for part in now if now[part] != last.parts[part]]
        if not changed:
            return "its layer is no longer in the store"
        return f"{'; '.join(_told(changed, parts, last, written))} changed"

    def copied_changes(self, parts: KeyParts, last: StepRecord, diff_id: str) -> str:
        """Which files a step copies otherwise than ``last``, and in what they differ.

        Empty where nothing can be said: the inputs are the same, or the layer of then is gone.
        """
        if not parts.inputs or parts.fingerprints()["inputs"] == last.parts["inputs"]:
            return ""
        if self._store.layer(last.diff_id) is None:
            return ""
        found = self._store.compare([last.diff_id], [diff_id])
        # A time alone is no reason to run again; a directory's differs with what is in it.
        return listed([told for told in map(_difference, found) if told])

    def _usable(self, record: StepRecord | None) -> StepRecord | None:
        if record is None:
            return None
        if self._store.layer(record.diff_id) is None:
            return None
        with self._lock:
            self._used_keys.append(record.key)
        return record


def _told(changed: list[str], parts: KeyParts, last: StepRecord, written: str) -> list[str]:
    """How a miss names the parts of the key that differ."""
    told = []
    now, then = settings(parts), last.settings
    names = differing(now, then)
    if "base" in changed:
        told.append("what it starts from")
    if "instruction" in changed:
        same = last.description == written
        expanded = "the instruction, as its variables expand,"
        told.append(expanded if same else f"the instruction, which was {last.description!r},")
    mounted = [name for name in names if name in parts.input_names]
    if "inputs" in changed:
        told.append(listed(mounted) or "the content of its inputs")
    if "configuration" in changed:
        told.append(listed([name for name in names if name not in mounted]) or "its settings")
    return told


def _difference(one: Difference) -> str:
    path = one.path.decode("utf-8", "replace")
    match one.kind:
        case "A":
            return f"{path} (new)"
        case "D":
            return f"{path} (gone)"
    reasons = [reason for reason in one.reasons if reason != "time"]
    return f"{path} ({', '.join(reasons)})" if reasons else ""
