"""``fastlayer cat``."""

from __future__ import annotations

import sys

import click

from fastlayer.cli.location import open_store
from fastlayer.cli.place import find, split_place, tree_of
from fastlayer.errors import PathNotFoundError, UsageError


@click.command("cat")
@click.argument("places", nargs=-1, required=True, metavar="NAME:/PATH...")
@click.pass_context
def command(ctx: click.Context, places: tuple[str, ...]) -> None:
    """Print files of images or containers; nothing is mounted."""
    store = open_store(ctx)
    for text in places:
        place = split_place(text)
        if place is None:
            raise UsageError(f"{text!r} names no file", hint="write NAME:/PATH")
        tree = tree_of(store, find(store, place.kind, place.name))
        node = tree.resolve(place.path)
        if node.kind != "file":
            raise PathNotFoundError(
                f"{text} is a {node.kind}, not a file", hint=f"fastlayer ls {text}"
            )
        sys.stdout.flush()
        tree.read_to(node, sys.stdout.fileno())
