"""What rmi does, as values."""

from __future__ import annotations

from fastlayer.value import Value


class Removal(Value, kw_only=False):
    """``untagged`` are familiar names, ``deleted`` image ids. The layers stay until collection."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


class ImageUse(Value, kw_only=False):
    """A container that needs an image; ``running`` ones forbid the removal even by force."""

    image_id: str
    container_id: str
    running: bool = False
