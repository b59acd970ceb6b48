"""``fastlayer builder``: what the layer cache holds (``du``), and emptying it (``prune``)."""

from __future__ import annotations

import click

from fastlayer.cli.go_flags import GoCommand


@click.group("builder", short_help="Manage the build cache")
def command() -> None:
    """Manage the build cache."""


@command.command("du")
@click.pass_context
def du(ctx: click.Context) -> None:
    """List the steps in the cache, the last used first."""
    import time

    from fastlayer.cache.index import CACHE_FILE, CacheIndex
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


@command.command("prune", cls=GoCommand)
@click.option("-a", "--all", "everything", is_flag=True, help="The same: no step is special.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="until=TIME", help="Not used since.")
@click.option("--keep-storage", metavar="SIZE", help="Keep what was used last, up to so much.")
@click.option("--dry-run", is_flag=True, help="Say only what would be removed.")
@click.pass_context
def prune(
    ctx: click.Context,
    filters: tuple[str, ...],
    keep_storage: str | None,
    *,
    everything: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Forget steps, and remove the layers that no image, container or other step needs.

    SIZE is what the layers of the kept steps may use of the disk, apart from what images and
    containers need: 512m, 10g.
    """
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.container_request import read_size
    from fastlayer.cli.location import open_store
    from fastlayer.cli.pruning import confirm, report, until

    del everything
    storage = Storage(open_store(ctx))
    unused_since = until(filters)
    keep = read_size(keep_storage, "--keep-storage") if keep_storage else None
    confirm("This will remove all build cache.", force=force, dry_run=dry_run)
    steps = storage.old_steps(unused_since=unused_since, keep_bytes=keep)
    report(storage.prune(steps=steps, dry_run=dry_run), dry_run=dry_run)
