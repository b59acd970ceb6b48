"""The images of a store: finding, making, naming and removing them.

Invariants: a ref is written only when everything it names is durable; an image stays as long as
its record does, named or not; removing an image never touches its layers (collection does that).
Any number of processes may do so at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from fastlayer.errors import (
    ConflictError,
    CorruptError,
    ImageNotFoundError,
    NotFoundError,
    ReferenceFormatError,
    UsageError,
)
from fastlayer.image.image import Image
from fastlayer.image.refs import ImageRecord, NameRecord, Refs
from fastlayer.image.removal import ImageUse, Removal
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.digest import is_digest, short
from fastlayer.oci.manifest import Manifest
from fastlayer.oci.platform import Platform, host_platform
from fastlayer.oci.reference import Reference, parse_reference
from fastlayer.store import Store
from fastlayer.value import replace

_HEX = re.compile(r"[0-9a-f]{1,64}")


class ImageCatalog:
    """The images of one store.

    Parameters
    ----------
    store:
        Where layers and documents are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._refs = Refs(store.root)

    # Finding.

    def resolve(self, text: str, *, platform: Platform | None = None) -> Image:
        """Find an image by name, id, start of an id, or name and digest.

        Parameters
        ----------
        text:
            ``site``, ``site:1.0``, ``0d1e2f``, ``sha256:…``, ``site@sha256:…`` (the digest of the
            manifest or index it was loaded with, or the image id).
        platform:
            Which one of a name's platforms; this machine's where there is a choice.

        Raises
        ------
        ImageNotFoundError
            No such image, or not for that platform.
        ConflictError
            The start of an id fits several images.
        """
        return self._load(self._find(text, platform), self._refs.names())

    def find(self, text: str, *, platform: Platform | None = None) -> Image | None:
        """As :meth:`resolve`, but None where there is no such image."""
        try:
            return self.resolve(text, platform=platform)
        except (ImageNotFoundError, ReferenceFormatError):
            return None

    def list(self) -> tuple[Image, ...]:
        """All images, the newest first, then by id.

        Raises
        ------
        CorruptError
            An image's config is lost or damaged.
        """
        names = self._refs.names()
        images = []
        for record in self._refs.images():
            try:
                images.append(self._load(record, names))
            except CorruptError:
                # One that somebody has removed since it was listed is not damaged.
                if self._refs.image(record.config) is not None:
                    raise
        return tuple(sorted(images, key=lambda image: (image.config.created, image.id))[::-1])

    def size(self, image: Image) -> int:
        """Bytes of all file contents of the image's layers together, as docker counts them."""
        return sum(self.layer_size(diff_id) for diff_id in image.chain)

    def layer_size(self, diff_id: str) -> int:
        """Bytes of all file contents of a layer.

        Raises
        ------
        CorruptError
            The layer is not in the store.
        """
        layer = self.store.layer(diff_id)
        if layer is None:
            raise CorruptError(
                f"layer {diff_id} is missing from the store", hint="load the image again"
            )
        return layer.content_size

    def needed(self, *, without: Collection[str] = ()) -> tuple[str, ...]:
        """Digests of all layers, blobs and documents that images need: what collection keeps.

        ``without`` are ids of images that count as removed.
        """
        kept: set[str] = set()
        for record in self._refs.names():
            if record.digest and not set(without).issuperset(record.images.values()):
                kept.add(record.digest)
        for image in self.list():
            if image.id in without:
                continue
            kept.update((image.id, *image.chain))
            if image.manifest is not None:
                kept.add(image.manifest.digest)
                kept.update(layer.digest for layer in image.manifest.layers)
        return tuple(sorted(kept))

    def record_usage(self, image_ids: Collection[str]) -> int:
        """Bytes of disk that the refs of some images have, apart from their layers and documents:
        what removing all of them gives back at once."""
        return self._refs.disk_usage(image_ids)

    # Making and naming.

    def create(
        self,
        config: ImageConfig,
        *,
        manifest: Manifest | None = None,
        names: Iterable[str | Reference] = (),
        digest: str | None = None,
        media_type: str = "",
    ) -> Image:
        """Keep an image, and give it names; it appears with all of them at once.

        Parameters
        ----------
        config:
            Its config; every layer it names must be in the store.
        manifest:
            The manifest it was loaded with; its bytes are kept.
        names, digest, media_type:
            As :meth:`tag` takes them.

        Raises
        ------
        CorruptError
            A layer is not in the store.
        ReferenceFormatError, UsageError
            As :meth:`tag`; nothing has happened then.
        """
        references = [_taggable(name) for name in names]
        for diff_id in config.diff_ids:
            self.layer_size(diff_id)
        record = self._refs.image(config.digest) if manifest is None else None
        if record is None or not self.store.has_blob(record.config):
            image_id = self.store.put_document(config.to_json())
            kept = None if manifest is None else self.store.put_document(manifest.to_json())
            self.store.sync()
            record = ImageRecord(config=image_id, manifest=kept)
        elif not references:
            # It was made durable when its record was written: nothing is left to do.
            return self._load(record, self._refs.names())
        with self._refs.changing():
            old = self._refs.image(record.config)
            if record.manifest is None and old is not None:
                record = old
            if record != old:
                self._refs.put_image(record)
            for reference in references:
                self._put_name(record, reference, digest, media_type)
        return self._load(record, self._refs.names())

    def tag(
        self,
        image_id: str,
        name: str | Reference,
        *,
        digest: str | None = None,
        media_type: str = "",
    ) -> Reference:
        """Point a name at an image; an image that had the name stays without it.

        Parameters
        ----------
        image_id:
            The full id of an image of this catalog.
        name:
            The name; ``latest`` is its tag where it has none.
        digest, media_type:
            Of the index or manifest loaded under the name, where there was one.

        Raises
        ------
        ReferenceFormatError
            The name breaks the grammar.
        UsageError
            The name holds a digest.
        ImageNotFoundError
            No such image.
        """
        reference = _taggable(name)
        with self._refs.changing():
            record = self._refs.image(image_id)
            if record is None:
                raise _not_found(image_id)
            self._put_name(record, reference, digest, media_type)
        return reference

    # Removing.

    def remove(self, text: str, *, force: bool = False, uses: Iterable[ImageUse] = ()) -> Removal:
        """Take a name away, and an image with its last name; as ``docker rmi``.

        Parameters
        ----------
        text:
            A name: only that name goes while the image has others. An id: all names go, which
            needs ``force`` where they are in several repositories.
        force:
            Remove though stopped containers use the image.
        uses:
            The containers of the store.

        Raises
        ------
        ImageNotFoundError
            No such image.
        ConflictError
            The image is in use.
        """
        with self._refs.changing():
            names = self._refs.names()
            named = self._named(text)
            if named is not None:
                doomed, images = [named], tuple(named.images.values())
            else:
                images = (self._find(text, None).config,)
                doomed = [name for name in names if images[0] in name.images.values()]
                repositories = {parse_reference(name.name).name for name in doomed}
                if len(repositories) > 1 and not force:
                    raise ConflictError(
                        f"cannot delete image {short(images[0])}: it is referenced in multiple "
                        "repositories",
                        hint="give its names, or -f",
                    )
            kept = {i for name in names if name not in doomed for i in name.images.values()}
            deleted = tuple(image_id for image_id in images if image_id not in kept)
            for image_id in deleted:
                _refuse_use(image_id, text, uses, force=force)
            untagged = self._drop_names(doomed, images)
            for image_id in deleted:
                self._refs.drop_image(image_id)
        return Removal(untagged, deleted)

    # Inside.

    def _put_name(
        self, record: ImageRecord, reference: Reference, digest: str | None, media_type: str
    ) -> None:
        """Write a name; the refs are locked."""
        platform = str(self._config(record).platform.normalised())
        digest = digest or record.manifest
        images = {platform: record.config}
        old = self._refs.name(reference.canonical)
        if old is not None and digest is not None and old.digest == digest:
            images = {**old.images, **images}  # another platform of the same index
        new = NameRecord(
            name=reference.canonical, images=images, digest=digest, media_type=media_type
        )
        if new != old:
            self._refs.put_name(new)

    def _drop_names(self, names: Iterable[NameRecord], images: tuple[str, ...]) -> tuple[str, ...]:
        """Take images from names; a name that has no other goes. Gives those that went."""
        gone = []
        for name in names:
            left = {p: image_id for p, image_id in name.images.items() if image_id not in images}
            if left:
                self._refs.put_name(replace(name, images=left))
            else:
                self._refs.drop_name(name.name)
                gone.append(parse_reference(name.name).familiar)
        return tuple(gone)

    def _named(self, text: str) -> NameRecord | None:
        try:
            reference = parse_reference(text)
        except ReferenceFormatError:
            return None
        if reference.digest:
            return None
        return self._refs.name(reference.with_default_tag().canonical)

    def _find(self, text: str, platform: Platform | None) -> ImageRecord:
        named = self._named(text)
        if named is not None:
            image_id = _choose(named, text, platform)
            record = self._refs.image(image_id)
            if record is None:
                raise CorruptError(f"{text}: the image it names is gone", hint="load it again")
            return record
        prefix = text.removeprefix("sha256:")
        if _HEX.fullmatch(prefix):
            return self._find_id(text, prefix)
        reference = parse_reference(text)
        if reference.digest:
            return self._find_digest(reference, platform)
        raise _not_found(text)

    def _find_id(self, text: str, prefix: str) -> ImageRecord:
        found = [r for r in self._refs.images() if r.config.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise ConflictError(
                f"{text} is the start of {len(found)} image ids", hint="give more of the id"
            )
        if not found:
            raise _not_found(text)
        return found[0]

    def _find_digest(self, reference: Reference, platform: Platform | None) -> ImageRecord:
        for name in self._refs.names():
            if parse_reference(name.name).name != reference.name:
                continue
            image_id = _choose(name, reference.familiar, platform)
            record = self._refs.image(image_id)
            if record and reference.digest in (name.digest, record.manifest, record.config):
                return record
        raise _not_found(reference.familiar)

    def _config(self, record: ImageRecord) -> ImageConfig:
        try:
            data = self.store.get_document(record.config)
        except NotFoundError as error:
            raise CorruptError(
                f"image {record.config}: its config is missing",
                hint=f"fastlayer rmi -f {short(record.config)} removes it",
            ) from error
        return ImageConfig.from_json(data, f"config of image {short(record.config)}")

    def _load(self, record: ImageRecord, names: tuple[NameRecord, ...]) -> Image:
        manifest = None
        if record.manifest is not None and self.store.has_blob(record.manifest):
            manifest = Manifest.from_json(
                self.store.get_document(record.manifest),
                f"manifest of image {short(record.config)}",
                allow_no_layers=True,
            )
        tags, digests = _names_of(record.config, names)
        return Image(
            id=record.config,
            config=self._config(record),
            tags=tags,
            digests=digests,
            manifest=manifest,
        )


def _taggable(name: str | Reference) -> Reference:
    reference = parse_reference(name) if isinstance(name, str) else name
    if reference.digest:
        raise UsageError(f"{name}: a name with a digest cannot be given to an image")
    return reference.with_default_tag()


def _names_of(
    image_id: str, names: tuple[NameRecord, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tags, digests = [], set()
    for name in names:
        if image_id in name.images.values():
            reference = parse_reference(name.name)
            tags.append(reference.familiar)
            if name.digest and is_digest(name.digest):
                digests.add(replace(reference, tag=None, digest=name.digest).familiar)
    return tuple(sorted(tags)), tuple(sorted(digests))


def _choose(name: NameRecord, text: str, wanted: Platform | None) -> str:
    images: Mapping[str, str] = name.images
    if wanted is None and len(images) == 1:
        return next(iter(images.values()))
    key = str((wanted or host_platform()).normalised())
    if key not in images:
        raise ImageNotFoundError(
            f"{text} is not in the store for {key}", hint=f"it is there for {', '.join(images)}"
        )
    return images[key]


def _not_found(text: str) -> ImageNotFoundError:
    return ImageNotFoundError(f"no such image: {text}", hint="fastlayer images lists what is there")


def _refuse_use(image_id: str, text: str, uses: Iterable[ImageUse], *, force: bool) -> None:
    for use in uses:
        if use.image_id != image_id:
            continue
        container = short(use.container_id)
        if use.running:
            raise ConflictError(
                f"cannot remove {text}: running container {container} uses it",
                hint=f"fastlayer stop {container} first",
            )
        if not force:
            raise ConflictError(
                f"cannot remove {text}: container {container} uses it",
                hint=f"fastlayer rm {container} first, or give -f",
            )
