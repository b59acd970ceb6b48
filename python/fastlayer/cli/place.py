"""Paths on the command line: ``IMAGE:/PATH``, ``CONTAINER:/PATH``, or a path of this machine.

The name ends at the first ``:/``. A bare name is a container first, then an image;
``container:`` and ``image:`` before it say which.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.container.tree import MergedTree
from fastlayer.errors import ContainerNotFoundError, ImageNotFoundError, NotFoundError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.oci.platform import Platform
from fastlayer.store import Store

_KINDS = ("container", "image")


@dataclass(frozen=True, slots=True)
class Place:
    """A path in something named; ``kind`` is ``container``, ``image`` or empty for either."""

    kind: str
    name: str
    path: str


def split_place(text: str) -> Place | None:
    """The parts of ``NAME:/PATH``; ``None`` for a path of this machine (or ``-``).

    ``./a:/b`` and ``/a:/b`` are paths of this machine: no name begins so.
    """
    if text.startswith(("/", ".")) or text == "-":
        return None
    kind, name = split_kind(text)
    name, found, rest = name.partition(":/")
    return Place(kind, name, f"/{rest}") if found and name else None


def split_kind(text: str) -> tuple[str, str]:
    """``container:web`` as (``container``, ``web``); no kind is empty."""
    kind, found, name = text.partition(":")
    return (kind, name) if found and kind in _KINDS and name else ("", text)


def find(
    store: Store, kind: str, name: str, *, platform: Platform | None = None
) -> Container | Image:
    """The container or image of a name; of an image the one for ``platform``.

    Raises
    ------
    NotFoundError
        There is neither, or not of that kind.
    """
    if kind != "image":
        try:
            return ContainerRegistry(store.root).find(name)
        except ContainerNotFoundError:
            if kind == "container":
                raise
    try:
        return ImageCatalog(store).resolve(name, platform=platform)
    except ImageNotFoundError:
        if kind == "image" or platform is not None:
            raise
        raise NotFoundError(
            f"no container or image is named {name}",
            hint="see fastlayer ps -a and fastlayer images",
        ) from None


def tree_of(store: Store, thing: Container | Image) -> MergedTree:
    """The files of a container or image."""
    if isinstance(thing, Container):
        return MergedTree(store, thing.chain(), thing.upper)
    return MergedTree(store, thing.chain)
