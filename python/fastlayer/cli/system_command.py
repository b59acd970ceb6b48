"""``fastlayer system``: ``df`` and ``prune``."""

from __future__ import annotations

import click

from fastlayer.cli.df_command import command as df_command
from fastlayer.cli.go_flags import GoCommand

WARNING = """\
This will remove:
  - all stopped containers
  - {images}
  - unused build cache
"""


@click.group("system", short_help="Show disk usage, and give back what nobody needs")
def command() -> None:
    """Show disk usage, and give back what nobody needs."""


command.add_command(df_command, "df")


@command.command("prune", cls=GoCommand)
@click.option("-a", "--all", "everything", is_flag=True, help="Images with a name as well.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="until=TIME", help="Only older ones.")
@click.option("--dry-run", is_flag=True, help="Say only what would be removed.")
@click.pass_context
def prune(
    ctx: click.Context, filters: tuple[str, ...], *, everything: bool, force: bool, dry_run: bool
) -> None:
    """Remove stopped containers, images without a name, the build cache, and what only they need.

    A container or image is older by its creation, a step of the cache by its last use.
    """
    from fastlayer.builder.cache_choice import CacheFilter
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.location import open_store
    from fastlayer.cli.moment import seconds_of
    from fastlayer.cli.pruning import confirm, image_choice, report, until
    from fastlayer.container.registry import Container

    storage = Storage(open_store(ctx))
    moment = until(filters)
    chosen = image_choice(storage.catalog, filters, everything=everything)
    images = (
        "all images without at least one container associated to them"
        if everything
        else "all dangling images"
    )
    confirm(WARNING.format(images=images), force=force, dry_run=dry_run)

    def old(container: Container) -> bool:
        return moment is None or seconds_of(container.config.created) < moment

    pruned = storage.prune(
        containers=old,
        images=chosen,
        cache=storage.choose(
            None if moment is None else CacheFilter(unused_since=moment), everything=everything
        ),
        dry_run=dry_run,
    )
    report(pruned, dry_run=dry_run)
