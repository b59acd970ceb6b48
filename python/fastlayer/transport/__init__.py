"""Images in and out of the store: archives and layouts on disk.

::

    load(catalog, descriptor) -> tuple[LoadedImage, ...]
    save(catalog, selections, descriptor) -> SaveReport
    write_image(catalog, image, kind="oci", destination=path) -> SaveReport

Large data goes from file to file by the kernel or through the core, never through Python's memory.
"""

from __future__ import annotations

from fastlayer.transport.load import LoadedImage, load, load_path
from fastlayer.transport.outputs import write_image
from fastlayer.transport.save import SaveReport, save

__all__ = ["LoadedImage", "SaveReport", "load", "load_path", "save", "write_image"]
