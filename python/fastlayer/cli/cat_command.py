"""``fastlayer cat``."""

from __future__ import annotations

import sys

import click

from fastlayer.cli.location import open_store
from fastlayer.cli.tree_path import split_tree_path
from fastlayer.errors import UsageError
from fastlayer.image import ImageCatalog


@click.command("cat")
@click.argument("places", nargs=-1, required=True, metavar="IMAGE:/PATH...")
@click.pass_context
def command(ctx: click.Context, places: tuple[str, ...]) -> None:
    """Print files of images; nothing is mounted."""
    store = open_store(ctx)
    catalog = ImageCatalog(store)
    for place in places:
        name, path = split_tree_path(place)
        if not path:
            raise UsageError(f"{place!r} names no file", hint="write IMAGE:/PATH")
        sys.stdout.flush()
        store.read_to(catalog.resolve(name).chain, path, sys.stdout.fileno())
