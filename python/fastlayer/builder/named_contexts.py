"""``--build-context``: names for further directories, and for images in the place of others.

A name stands for a stage or an image of that name wherever the Dockerfile says it: an image does so
everywhere, files only where something is copied or mounted from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastlayer.builder.context import BuildContext, open_context
from fastlayer.builder.options import plain_name
from fastlayer.builder.places import find_context
from fastlayer.builder.remote_files import RemoteFiles
from fastlayer.builder.reporter import Reporter
from fastlayer.errors import ImageNotFoundError, UsageError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.oci.digest import is_digest
from fastlayer.oci.platform import Platform
from fastlayer.value import Value

IMAGE = "docker-image://"
LAYOUT = "oci-layout://"


class NamedImage(Value, kw_only=False):
    """An image that a name stands for: what the catalog knows it by."""

    image: str


NamedContext = NamedImage | BuildContext


def open_contexts(
    given: Mapping[str, str],
    catalog: ImageCatalog,
    remote: RemoteFiles,
    reporter: Reporter,
    platform: Platform | None,
) -> dict[str, NamedContext]:
    """Make what each name stands for.

    Parameters
    ----------
    given:
        Places by name.
    catalog:
        Where images are, and where those of layouts go.
    remote:
        The build's files of the network.
    reporter:
        Who is told of what is fetched.
    platform:
        Which image of a layout for several.

    Raises
    ------
    UsageError
        A place is not understood.
    ContextError, ArchiveError, DownloadError
        It cannot be read.
    """
    return {
        plain_name(name): _open(name, place, catalog, remote, reporter, platform)
        for name, place in given.items()
    }


def _open(
    name: str,
    place: str,
    catalog: ImageCatalog,
    remote: RemoteFiles,
    reporter: Reporter,
    platform: Platform | None,
) -> NamedContext:
    if place.startswith(IMAGE):
        return NamedImage(place.removeprefix(IMAGE))
    if place.startswith(LAYOUT):
        return NamedImage(_load(name, place.removeprefix(LAYOUT), catalog, platform))
    if place.startswith("target:"):
        raise UsageError(
            f"--build-context {name}={place}: targets of a bake file are not supported",
            hint="build the target first, and give its image as docker-image://NAME",
        )

    def tell(text: str) -> None:
        reporter.step(text).done()

    found = find_context(place, remote, tell=tell)
    if found.dockerfile is not None:
        raise UsageError(
            f"--build-context {name}={place}: it is neither a directory nor an archive"
        )
    return open_context(found.root, None, catalog.store.root, keep=not found.is_foreign)


def _load(name: str, text: str, catalog: ImageCatalog, platform: Platform | None) -> str:
    """Load an image of a layout ``PATH[:TAG][@DIGEST]``; gives its id."""
    from fastlayer.transport.load import load_path

    path, _, digest = text.partition("@")
    tag = ""
    if not Path(path).exists() and ":" in path:
        path, _, tag = path.rpartition(":")
    if digest and not is_digest(digest):
        raise UsageError(f"--build-context {name}: {digest} is not a digest")
    loaded = load_path(catalog, path, platform=platform)
    fitting = [
        one.image
        for one in loaded
        if (not tag or any(known.endswith(f":{tag}") for known in one.names))
        and (not digest or digest in {one.image.id, _manifest(one.image.manifest)})
    ]
    if not fitting:
        raise ImageNotFoundError(
            f"--build-context {name}: no such image in {path}: {tag or digest}"
        )
    if len(fitting) > 1:
        raise UsageError(
            f"--build-context {name}: there are {len(fitting)} images in {path}",
            hint=f"name one: {LAYOUT}{path}:TAG or @DIGEST",
        )
    return fitting[0].id


def _manifest(manifest: object) -> object:
    return getattr(manifest, "digest", None)
