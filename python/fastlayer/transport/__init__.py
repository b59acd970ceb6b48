"""Images in and out of the store: archives and layouts on disk.

::

    load(catalog, descriptor) -> tuple[LoadedImage, ...]
    save(catalog, select(catalog, names), descriptor) -> SaveReport
    write_image(catalog, image, kind="oci", destination=path) -> SaveReport

:mod:`fastlayer.transport.root_tar` (``import``) is imported on its own.

Large data goes from file to file by the kernel or through the core, never through Python's memory.
"""

from __future__ import annotations

from fastlayer.transport.load import LoadedImage, load, load_path
from fastlayer.transport.outputs import write_image
from fastlayer.transport.save import SaveReport, save
from fastlayer.transport.selection import Selection, select

__all__ = [
    "LoadedImage",
    "SaveReport",
    "Selection",
    "load",
    "load_path",
    "save",
    "select",
    "write_image",
]
