"""Which parts of the build cache go: steps, cache mounts, small files, what was left behind.

Pure: what there is comes as values, and nothing is removed here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from operator import attrgetter

from fastlayer.cache.index import StepRecord
from fastlayer.cache.kept_files import KINDS, KeptFile
from fastlayer.cache.mounts import CacheMountRecord
from fastlayer.value import Value

STEP = "regular"
"""What docker calls a step with its layer."""
MOUNT = "exec.cachemount"
"""What docker calls a cache mount."""
TYPES = (STEP, MOUNT, *KINDS)
"""The types of what the cache holds."""


class CacheContents(Value, kw_only=False):
    """What a cache holds, each part with the last used first."""

    steps: tuple[StepRecord, ...] = ()
    mounts: tuple[CacheMountRecord, ...] = ()
    files: tuple[KeptFile, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all."""
        steps = tuple(record.key for record in self.steps)
        mounts = tuple(mount.key for mount in self.mounts)
        return (*steps, *mounts, *(file.key for file in self.files))

    @property
    def own_size(self) -> int:
        """Bytes of disk of all that is not in layers."""
        mounts = sum(mount.size for mount in self.mounts)
        return mounts + sum(file.size for file in self.files)


class CacheFilter(Value):
    """Which things are meant; the empty filter means all of them.

    ``unused_since`` is a moment in seconds since the epoch: only what was last used before.
    ``types`` are some of :data:`TYPES`, ``keys`` beginnings of keys.
    """

    unused_since: float | None = None
    types: Collection[str] = ()
    keys: Collection[str] = ()

    def apply(self, contents: CacheContents) -> CacheContents:
        """Those of the contents that are meant."""
        return CacheContents(
            steps=tuple(x for x in contents.steps if self._means(STEP, x.key, x.used)),
            mounts=tuple(x for x in contents.mounts if self._means(MOUNT, x.key, x.used)),
            files=tuple(x for x in contents.files if self._means(x.kind, x.key, x.used)),
        )

    def _means(self, kind: str, key: str, used: float) -> bool:
        if self.types and kind not in self.types:
            return False
        if self.keys and not any(key.startswith(start) for start in self.keys):
            return False
        return self.unused_since is None or used < self.unused_since


class CacheChoice(Value, kw_only=False):
    """What is to go: ``contents``, and whether what saves and failed steps left goes, too."""

    contents: CacheContents = CacheContents()
    leftovers: bool = False

    @property
    def keys(self) -> set[str]:
        """The keys of its steps."""
        return {record.key for record in self.contents.steps}

    def __bool__(self) -> bool:
        contents = self.contents
        return bool(contents.steps or contents.mounts or contents.files or self.leftovers)


def beyond(contents: CacheContents, sizes: Mapping[str, int], budget: int) -> CacheContents:
    """What does not fit into a budget, the last used kept first.

    Parameters
    ----------
    contents:
        The things.
    sizes:
        Bytes of disk that keeping each step takes, by its key, those used later being kept.
    budget:
        Bytes for all of them together.
    """
    total = 0
    over: set[int] = set()
    things: Iterable[StepRecord | CacheMountRecord | KeptFile]
    things = (*contents.steps, *contents.mounts, *contents.files)
    for thing in sorted(things, key=attrgetter("used"), reverse=True):
        total += sizes[thing.key] if isinstance(thing, StepRecord) else thing.size
        if total > budget:
            over.add(id(thing))
    return CacheContents(
        steps=tuple(x for x in contents.steps if id(x) in over),
        mounts=tuple(x for x in contents.mounts if id(x) in over),
        files=tuple(x for x in contents.files if id(x) in over),
    )
