"""What a build gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastlayer.oci.descriptor import Descriptor
from fastlayer.oci.history import HistoryEntry
from fastlayer.value import Value

if TYPE_CHECKING:
    from fastlayer.dockerfile.lint import Result


class StageResult(Value, kw_only=False):
    """What a stage ends as."""

    chain: tuple[str, ...]
    history: tuple[HistoryEntry, ...]


class StepResult(Value, kw_only=False):
    """How one step went."""

    name: str
    """As it was shown: ``[2/3] RUN make``."""
    instruction: str
    """As it stands in the Dockerfile."""
    line: int
    cached: bool
    seconds: float
    added_bytes: int
    """What it added to the store."""
    reason: str = ""
    """Why it ran; empty where it was cached."""


class CheckReport(Value, kw_only=False):
    """What the build checks say of a Dockerfile."""

    file: str
    """Its name."""
    data: bytes
    result: Result


class BuildResult(Value, kw_only=False):
    """The result of a build that went well."""

    image_id: str | None
    """The image's id; ``None`` where the result was written elsewhere only."""
    config_digest: str
    """Digest of the image config; the same as the id."""
    chain: tuple[str, ...]
    """DiffIDs of the image's layers, the base's first."""
    tags: tuple[str, ...]
    """The names it was given, in full."""
    steps: tuple[StepResult, ...]
    """The steps in the order in which they ended."""
    warnings: tuple[str, ...]
    seconds: float
    descriptor: Descriptor | None = None
    """Of the manifest, where an archive with one was written: the last such archive's."""

    @property
    def cached(self) -> int:
        """How many steps were found in the cache."""
        return sum(step.cached for step in self.steps)
