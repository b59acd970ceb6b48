"""What is saved, and under which names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastlayer.errors import ReferenceFormatError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.oci.platform import Platform
from fastlayer.oci.reference import Reference, parse_reference


@dataclass(frozen=True, slots=True)
class Selection:
    """An image to save, and the names it gets in the archive."""

    image: Image
    names: tuple[Reference, ...] = ()


def select(
    catalog: ImageCatalog, texts: Iterable[str], *, platform: Platform | None = None
) -> tuple[Selection, ...]:
    """The images that the texts name, as ``docker save`` takes them.

    A name with a tag is that image under that name. A name alone is all tags of the repository. An
    id is an image without a name.

    Raises
    ------
    ImageNotFoundError
        There is no such image.
    """
    chosen: dict[str, tuple[Image, list[Reference]]] = {}

    def add(image: Image, names: Iterable[Reference]) -> None:
        known = chosen.setdefault(image.id, (image, []))[1]
        known += [name for name in names if name not in known]

    for text in texts:
        reference = _reference(text)
        repository = _tags(catalog, reference) if reference and not reference.tag else ()
        if reference and repository and not reference.digest:
            for name in repository:
                add(catalog.resolve(name.familiar, platform=platform), (name,))
            continue
        image = catalog.resolve(text, platform=platform)
        named = reference is not None and reference.familiar in image.tags
        add(image, (reference,) if named and reference else ())
    return tuple(Selection(image, tuple(names)) for image, names in chosen.values())


def _reference(text: str) -> Reference | None:
    try:
        return parse_reference(text)
    except ReferenceFormatError:
        return None


def _tags(catalog: ImageCatalog, reference: Reference) -> tuple[Reference, ...]:
    names = (parse_reference(tag) for image in catalog.list() for tag in image.tags)
    return tuple(
        sorted((n for n in names if n.name == reference.name), key=lambda name: name.tag or "")
    )
