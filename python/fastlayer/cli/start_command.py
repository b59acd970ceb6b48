"""``fastlayer start``."""

from __future__ import annotations

import click

from fastlayer.cli import terminal
from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.container import lifecycle
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import ConflictError, UsageError


@click.command("start", cls=GoCommand, short_help="Start stopped containers")
@click.option("-a", "--attach", is_flag=True, help="Show the output; pass signals on.")
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.argument("containers", nargs=-1, required=True)
@click.pass_context
def command(
    ctx: click.Context, attach: bool, interactive: bool, containers: tuple[str, ...]
) -> int:
    """Start CONTAINERS that do not run."""
    store = open_store(ctx)
    registry = ContainerRegistry(store.root)
    attached = attach or interactive
    if attached and len(containers) > 1:
        raise UsageError("only one container can be attached at a time")
    for name in containers:
        container = registry.find(name)
        tty = container.config.terminal
        try:
            session = lifecycle.start(store, container, terminal.window_size() if tty else None)
        except ConflictError:
            if attached:
                raise
            click.echo(name)  # to start what runs is no error, as with docker
            continue
        if not attached:
            session.close()
            click.echo(name)
            continue
        stdin = interactive and container.config.open_stdin
        code = terminal.interact(session, stdin=stdin, terminal=tty)
        return 0 if code is None else code
    return 0
