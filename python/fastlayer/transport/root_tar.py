"""A root file system's tar made an image of one layer, as ``docker import`` does."""

from __future__ import annotations

from collections.abc import Sequence

from fastlayer.errors import TarFormatError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.change import apply_changes
from fastlayer.image.image import Image
from fastlayer.oci.config import ImageConfig, empty_config
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.mutate import append_layer
from fastlayer.oci.platform import Platform, host_platform
from fastlayer.oci.reference import Reference
from fastlayer.oci.timestamp import creation_time
from fastlayer.store import LayerInfo, Progress
from fastlayer.transport.damage import reading


def import_root_tar(
    catalog: ImageCatalog,
    descriptor: int,
    *,
    label: str = "tar",
    name: Reference | None = None,
    changes: Sequence[str] = (),
    message: str = "",
    platform: Platform | None = None,
    created: str = "",
    progress: Progress | None = None,
) -> tuple[Image, LayerInfo]:
    """Make an image of a tar.

    Parameters
    ----------
    catalog:
        Where it goes.
    descriptor:
        The tar, plain or compressed; read to its end. The layer's DiffID is the SHA-256 of its
        plain bytes as they are.
    label:
        What to call the tar in an error.
    name:
        What it is called; an image without a name is made where there is none.
    changes:
        Instructions that set its config.
    message:
        The comment of its one history entry.
    platform:
        What it runs on; this machine where it is not given.
    created:
        RFC 3339; now where it is empty.
    progress:
        Told the bytes read.

    Raises
    ------
    UsageError, DockerfileError
        A change is wrong; nothing was read then.
    CorruptError
        The tar is damaged, truncated or empty.
    """
    # A wrong change is found before gigabytes are read.
    config: ImageConfig = apply_changes(empty_config(platform or host_platform()), changes)
    with catalog.store.lease():  # until the ref is written nothing else names the layer
        with reading(label, hint="make or fetch the tar again"):
            layer = catalog.store.import_layer(descriptor, progress=progress)
            if not layer.size:  # what fed a pipe has failed
                raise TarFormatError(
                    "no bytes at all", hint="make or fetch the tar again", offset=0
                )
        entry = HistoryEntry(created=created or creation_time(), comment=message)
        config = append_layer(config, layer.diff_id, entry)
        return catalog.create(config, names=() if name is None else (name,)), layer
