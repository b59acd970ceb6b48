"""What rmi does, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removal:
    """``untagged`` are familiar names, ``deleted`` image ids. The layers stay until collection."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A container that needs an image; ``running`` ones forbid the removal even by force."""

    image_id: str
    container_id: str
    running: bool = False
