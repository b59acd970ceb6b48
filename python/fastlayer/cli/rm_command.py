"""``fastlayer rm``."""

from __future__ import annotations

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.several import for_each
from fastlayer.container import lifecycle
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import ContainerNotFoundError


@click.command("rm", cls=GoCommand, short_help="Remove containers")
@click.option("-f", "--force", is_flag=True, help="Kill those that run; no error for missing ones.")
@click.option("-v", "--volumes", is_flag=True, help="With their anonymous volumes (always done).")
@click.argument("containers", nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, force: bool, volumes: bool, containers: tuple[str, ...]) -> None:
    """Remove CONTAINERS with their writable layers and anonymous volumes."""
    del volumes  # a container's own volumes are below its directory and go with it
    store = open_store(ctx)
    registry = ContainerRegistry(store.root)

    def remove(name: str) -> None:
        try:
            container = registry.find(name)
        except ContainerNotFoundError:
            if force:
                return
            raise
        lifecycle.remove(store, container, force=force)
        click.echo(name)

    for_each(containers, remove)
