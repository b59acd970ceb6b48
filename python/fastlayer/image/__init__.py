"""Images in a store: names, ids, and the documents behind them.

::

    ImageCatalog(store).resolve("site") -> Image
    ImageCatalog(store).create(config) -> Image
    ImageCatalog(store).tag(image.id, "site:1.0") -> Reference

:mod:`fastlayer.image.change` (``--change``) is imported on its own: it brings the parser along.
"""

from __future__ import annotations

from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.image import Image
from fastlayer.image.removal import ImageUse, Removal

__all__ = ["Image", "ImageCatalog", "ImageUse", "Removal"]
