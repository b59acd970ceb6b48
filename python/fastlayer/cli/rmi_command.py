"""``fastlayer rmi``."""

from __future__ import annotations

import click

from fastlayer.builder.storage import Storage
from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.several import for_each
from fastlayer.errors import ImageNotFoundError


@click.command("rmi", cls=GoCommand)
@click.option("-f", "--force", is_flag=True, help="Remove though a stopped container uses it.")
@click.argument("images", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, images: tuple[str, ...], *, force: bool) -> None:
    """Remove the names IMAGES, and each image with its last name.

    The space of the layers is given back when the store is next collected.
    """
    storage = Storage(open_store(ctx))

    def remove(name: str) -> None:
        uses = storage.uses()
        try:
            removal = storage.catalog.remove(name.removeprefix("image:"), force=force, uses=uses)
        except ImageNotFoundError as error:
            if not force:
                raise
            click.echo(f"error: {error}", err=True)
            return
        for untagged in removal.untagged:
            click.echo(f"Untagged: {untagged}")
        for deleted in removal.deleted:
            click.echo(f"Deleted: {deleted}")

    for_each(images, remove)
