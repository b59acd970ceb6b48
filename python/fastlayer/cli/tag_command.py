"""``fastlayer tag``."""

from __future__ import annotations

import click

from fastlayer.cli.location import open_store
from fastlayer.image import ImageCatalog


@click.command("tag")
@click.argument("source")
@click.argument("target")
@click.pass_context
def command(ctx: click.Context, source: str, target: str) -> None:
    """Give the image SOURCE the name TARGET, too."""
    catalog = ImageCatalog(open_store(ctx))
    catalog.tag(catalog.resolve(source).id, target)
