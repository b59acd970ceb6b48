"""``fastlayer builder``: what the layer cache holds (``du``), and emptying it (``prune``)."""

from __future__ import annotations

import time

import click

from fastlayer.cli.go_flags import GoCommand


@click.group("builder", short_help="Manage the build cache")
def command() -> None:
    """Manage the build cache."""


FILTERS = "until=24h, type=exec.cachemount, id=KEY; several of a kind mean any of them."


@command.command("du", cls=GoCommand)
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help=FILTERS)
@click.pass_context
def du(ctx: click.Context, filters: tuple[str, ...]) -> None:
    """List what is in the cache, the last used first.

    Sizes are those on disk: of a step with its layer, some of which other steps, images or
    containers may need as well. The total counts each byte once.
    """
    from fastlayer.builder.disk_usage import cache_lines
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.human import human_age, human_size
    from fastlayer.cli.location import open_store
    from fastlayer.cli.pruning import cache_filter
    from fastlayer.cli.table import format_table

    storage = Storage(open_store(ctx))
    lines, total = cache_lines(storage, cache_filter(filters))
    now = time.time()
    rows = [("ID", "TYPE", "SIZE", "LAST USED", "DESCRIPTION")]
    for line in lines:
        age = human_age(max(0.0, now - line.used))
        rows.append((line.key[:12], line.kind, human_size(line.size), age, line.description))
    click.echo(format_table(rows), nl=False)
    click.echo(f"Total: {human_size(total)}")


@command.command("prune", cls=GoCommand)
@click.option("-a", "--all", "everything", is_flag=True, help="Stat caches of contexts as well.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help=FILTERS)
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
    """Forget steps, and remove the layers that no image, container or other step needs; remove
    cache mounts that nobody uses, and what saves and failed steps left.

    SIZE is what cache mounts and the layers of the kept steps may use of the disk, apart from what
    images and containers need: 512m, 10g.
    """
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.container_request import read_size
    from fastlayer.cli.location import open_store
    from fastlayer.cli.pruning import cache_filter, confirm, report

    storage = Storage(open_store(ctx))
    wanted = cache_filter(filters)
    keep = read_size(keep_storage, "--keep-storage") if keep_storage else None
    confirm("This will remove all build cache.", force=force, dry_run=dry_run)
    chosen = storage.choose(wanted, keep_bytes=keep, everything=everything)
    report(storage.prune(cache=chosen, dry_run=dry_run), dry_run=dry_run)
