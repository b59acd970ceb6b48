"""``fastlayer stop``."""

from __future__ import annotations

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.cli.several import for_each
from fastlayer.container import lifecycle
from fastlayer.container.registry import ContainerRegistry


@click.command("stop", cls=GoCommand, short_help="Stop running containers")
@click.option(
    "-t", "--time", "--timeout", "seconds", type=float, help="Seconds before it is killed."
)
@click.option("-s", "--signal", "signal_name", default="", help="Signal to send.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_context
def command(
    ctx: click.Context, seconds: float | None, signal_name: str, containers: tuple[str, ...]
) -> None:
    """Ask CONTAINERS to end, and kill those that do not in time."""
    store = open_store(ctx)
    registry = ContainerRegistry(store.root)

    def stop(name: str) -> None:
        lifecycle.stop(store, registry.find(name), seconds=seconds, signal_name=signal_name)
        click.echo(name)

    for_each(containers, stop)
