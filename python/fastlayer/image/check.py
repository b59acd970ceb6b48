"""Whether the images of a store are whole: what fsck adds to the core's own check."""

from __future__ import annotations

from collections.abc import Iterator

from fastlayer.errors import CorruptError, FastlayerError
from fastlayer.image.refs import Refs
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.digest import sha256_digest
from fastlayer.oci.reference import parse_reference
from fastlayer.store import Store
from fastlayer.value import Value


class ImageProblem(Value, kw_only=False):
    """``what`` is ``name`` or ``image``, ``name`` says which one, ``detail`` what is wrong."""

    what: str
    name: str
    detail: str


def check_images(store: Store) -> tuple[ImageProblem, ...]:
    """Check that names lead to images, and images to documents and layers.

    Raises
    ------
    CorruptError
        A ref is not readable at all.
    """
    refs = Refs(store.root)
    problems = []
    for image in refs.images():
        problems += [ImageProblem("image", image.config, d) for d in _details(store, image.config)]
        if image.manifest is not None and not store.has_blob(image.manifest):
            problems.append(
                ImageProblem("image", image.config, f"its manifest {image.manifest} is missing")
            )
    for name in refs.names():
        problems += [
            ImageProblem("name", parse_reference(name.name).familiar, f"image {image} is missing")
            for image in name.images.values()
            if refs.image(image) is None
        ]
    return tuple(problems)


def _details(store: Store, image_id: str) -> Iterator[str]:
    try:
        data = store.get_document(image_id)
        config = ImageConfig.from_json(data)
    except FastlayerError as error:
        yield f"its config cannot be read: {error}"
        return
    if sha256_digest(data) != image_id:
        yield "its config does not have its digest"
    for diff_id in config.diff_ids:
        try:
            if store.layer(diff_id) is None:
                yield f"layer {diff_id} is missing"
        except CorruptError as error:
            yield f"its layers cannot be used: {error}"
