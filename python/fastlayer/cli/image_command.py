"""``fastlayer image``: ``prune``."""

from __future__ import annotations

import click

from fastlayer.cli.go_flags import GoCommand


@click.group("image", short_help="Manage images")
def command() -> None:
    """Manage images; see also images, inspect, rmi, tag, load and save."""


@command.command("prune", cls=GoCommand)
@click.option("-a", "--all", "everything", is_flag=True, help="Images with a name as well.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="until, label.")
@click.option("--dry-run", is_flag=True, help="Say only what would be removed.")
@click.pass_context
def prune(
    ctx: click.Context, filters: tuple[str, ...], *, everything: bool, force: bool, dry_run: bool
) -> None:
    """Remove images that have no name and no container, and what only they needed."""
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.location import open_store
    from fastlayer.cli.pruning import confirm, image_choice, report

    storage = Storage(open_store(ctx))
    chosen = image_choice(storage.catalog, filters, everything=everything)
    confirm(
        "This will remove all images without at least one container associated to them."
        if everything
        else "This will remove all dangling images.",
        force=force,
        dry_run=dry_run,
    )
    report(storage.prune(images=chosen, dry_run=dry_run), dry_run=dry_run)
