"""``fastlayer cp``."""

from __future__ import annotations

import sys

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.place import find, split_place, tree_of
from fastlayer.container.copy import copy_out, write_archive
from fastlayer.errors import UsageError


@click.command("cp", cls=GoCommand, short_help="Copy files out of an image or container")
@click.option("-a", "--archive", is_flag=True, help="Keep owners.")
@click.option("-L", "--follow-link", is_flag=True, help="Follow a link in SOURCE.")
@click.argument("source")
@click.argument("destination")
@click.pass_context
def command(
    ctx: click.Context, archive: bool, follow_link: bool, source: str, destination: str
) -> None:
    """Copy SOURCE (IMAGE:/PATH or CONTAINER:/PATH) to DESTINATION, a path or - for a tar."""
    place = split_place(source)
    if place is None or split_place(destination) is not None:
        raise UsageError(
            f"cannot copy {source} to {destination}: files are only copied out",
            hint="write SOURCE as NAME:/PATH; to put files into an image use COPY in a Dockerfile",
        )
    store = open_store(ctx)
    tree = tree_of(store, find(store, place.kind, place.name))
    if destination == "-":
        if sys.stdout.isatty():
            raise UsageError("refusing to write a tar to a terminal", hint="redirect the output")
        with open(1, "wb", buffering=0, closefd=False) as output:
            write_archive(tree, place.path, output, follow=follow_link)
        return

    def warn(text: str) -> None:
        click.echo(f"warning: {text}", err=True)

    copy_out(tree, place.path, destination, archive=archive, follow=follow_link, warn=warn)
