"""``fastlayer fsck``."""

from __future__ import annotations

import click

from fastlayer.cli.location import open_store
from fastlayer.errors import CorruptError
from fastlayer.image.check import check_images


@click.command("fsck")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Check names, images, layers and every stored byte; exits with 1 where anything is wrong."""
    store = open_store(ctx)
    problems = [(p.what, p.name, p.detail) for p in check_images(store)]
    problems += [(p.what, p.name, p.detail) for p in store.fsck()]
    for what, name, detail in problems:
        click.echo(f"{what} {name}: {detail}")
    if problems:
        raise CorruptError(
            f"{store.root}: {len(problems)} problems",
            hint="load or build the images again that need what is damaged",
        )
    click.echo("no problems found")
