"""``fastlayer commit``."""

from __future__ import annotations

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.container.commit import CommitRequest, commit
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import UsageError


@click.command("commit", cls=GoCommand, short_help="Create an image from a container's changes")
@click.option("-m", "--message", default="", help="A message for the history.")
@click.option("-a", "--author", default="", help="The author, as 'A. Name <a@example.org>'.")
@click.option("-c", "--change", "changes", multiple=True, help="A Dockerfile instruction.")
@click.option("-p", "--pause", is_flag=True, default=None, help="Pause it (the default).")
@click.option("--no-pause", is_flag=True, help="Do not pause it: files may be half written.")
@click.argument("container")
@click.argument("name", required=False, default="")
@click.pass_context
def command(
    ctx: click.Context,
    message: str,
    author: str,
    changes: tuple[str, ...],
    pause: bool | None,
    no_pause: bool,
    container: str,
    name: str,
) -> None:
    """Make image NAME of what CONTAINER is now; prints its id."""
    if pause and no_pause:
        raise UsageError("--pause and --no-pause exclude each other")
    store = open_store(ctx)
    found = ContainerRegistry(store.root).find(container)
    request = CommitRequest(
        name=name, message=message, author=author, changes=changes, pause=not no_pause
    )
    click.echo(commit(store, found, request).id)
