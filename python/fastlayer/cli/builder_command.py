"""``fastlayer builder``: what the layer cache holds (``du``), and emptying it (``prune``)."""

from __future__ import annotations

import contextlib

import click

from fastlayer.errors import StoreIOError, UsageError


@click.group("builder", short_help="Manage the build cache")
def command() -> None:
    """Manage the build cache."""


@command.command("du")
@click.pass_context
def du(ctx: click.Context) -> None:
    """List the steps in the cache, the last used first."""
    import time

    from fastlayer.builder.job import CACHE_FILE
    from fastlayer.cache.index import CacheIndex
    from fastlayer.cli.human import human_age, human_size
    from fastlayer.cli.location import open_store
    from fastlayer.cli.table import format_table

    store = open_store(ctx)
    index = CacheIndex(store.root / CACHE_FILE)
    records = index.records()
    index.close()
    rows = [("ID", "SIZE", "LAST USED", "STEP")]
    rows += [
        (
            record.key[:12],
            human_size(record.size),
            human_age(max(0.0, time.time() - record.used)),
            record.description,
        )
        for record in records
    ]
    click.echo(format_table(rows), nl=False)
    click.echo(f"Total: {human_size(sum(record.size for record in records))}")


@command.command("prune")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-a", "--all", "everything", is_flag=True, help="The same: all is removed.")
@click.pass_context
def prune(ctx: click.Context, force: bool, everything: bool) -> None:
    """Forget all steps, and remove the layers that no image and no container needs."""
    from fastlayer.builder.job import CACHE_FILE
    from fastlayer.cache.index import CacheIndex
    from fastlayer.cli.human import human_size
    from fastlayer.cli.location import open_store
    from fastlayer.container.registry import ContainerRegistry
    from fastlayer.image.catalog import ImageCatalog
    from fastlayer.image.failed_steps import FailedSteps

    if not force and not click.confirm("This removes all build cache. Continue?", err=True):
        raise UsageError("nothing was removed", hint="give -f to prune without a question")
    store = open_store(ctx)
    # On a full disk not even this can be written. A record without its layer counts for nothing.
    with contextlib.suppress(StoreIOError):
        index = CacheIndex(store.root / CACHE_FILE)
        with contextlib.closing(index):
            index.forget([record.key for record in index.records()])

    FailedSteps(store).forget()

    def keep() -> list[str]:
        needed = {*ImageCatalog(store).needed(), *ContainerRegistry(store.root).layers_in_use()}
        return sorted(needed)

    freed = store.remove_layers_except(keep)
    click.echo(f"Total reclaimed space: {human_size(freed)}")
