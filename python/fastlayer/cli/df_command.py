"""``fastlayer df``, which is ``fastlayer system df`` as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fastlayer.cli.go_flags import GoCommand

if TYPE_CHECKING:
    from fastlayer.builder.disk_usage import DiskUsage

HEADERS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
TABLE = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"


@click.command("df", cls=GoCommand)
@click.option("-v", "--verbose", is_flag=True, help="By image, layer, container and step.")
@click.option("--format", "form", metavar="TEMPLATE", help="json, table TEMPLATE, or a template.")
@click.pass_context
def command(ctx: click.Context, form: str | None, *, verbose: bool) -> None:
    """Show how much of the disk the store uses, and how much of it can be given back.

    Sizes are those on disk. UNIQUE is what one thing of a list has for itself, SHARED what it
    shares with others of the list, RECLAIMABLE what its removal and a prune give back.
    """
    from fastlayer.builder.disk_usage import measure
    from fastlayer.builder.storage import Storage
    from fastlayer.cli.human import human_size
    from fastlayer.cli.listing import render
    from fastlayer.cli.location import open_store

    usage = measure(Storage(open_store(ctx)))
    if verbose and form is None:
        _verbose(usage)
    else:
        click.echo(render(_rows(usage), headers=HEADERS, table=TABLE, form=form), nl=False)
    if form is None:
        click.echo(
            f"\nOn disk: {human_size(usage.total)} ({usage.total} bytes), "
            f"{human_size(usage.unreferenced)} of it needed by nothing\n"
            f"Layers of images: {human_size(usage.layers_plain)} as tars, "
            f"{human_size(usage.layers_stored)} on disk, dedup ratio {usage.ratio:.2f}; "
            f"made of them: {human_size(usage.layers_derived)}"
        )


def _rows(usage: DiskUsage) -> list[dict[str, object]]:
    from fastlayer.cli.human import human_size

    rows: list[dict[str, object]] = []
    for name, share in (
        ("Images", usage.image_share),
        ("Containers", usage.container_share),
        ("Build Cache", usage.cache_share),
    ):
        percent = f" ({100 * share.reclaimable // share.size}%)" if share.size else ""
        rows.append(
            {
                "Type": name,
                "TotalCount": str(share.total),
                "Active": str(share.active),
                "Size": human_size(share.size),
                "Reclaimable": human_size(share.reclaimable) + percent,
            }
        )
    return rows


def _verbose(usage: DiskUsage) -> None:
    from fastlayer.cli.human import human_size
    from fastlayer.cli.moment import since_text
    from fastlayer.cli.table import format_table
    from fastlayer.oci.digest import short
    from fastlayer.oci.reference import parse_reference

    rows: list[tuple[str, ...]] = [
        (
            "REPOSITORY",
            "TAG",
            "IMAGE ID",
            "CREATED",
            "SIZE",
            "SHARED SIZE",
            "UNIQUE SIZE",
            "RECLAIMABLE",
            "CONTAINERS",
        )
    ]
    for one in usage.images:
        parts = (one.unique + one.shared, one.shared, one.unique, one.reclaimable)
        sizes = tuple(human_size(size) for size in parts)
        for tag in one.image.tags or (None,):
            reference = parse_reference(tag) if tag else None
            name = (reference.familiar_name, reference.tag or "") if reference else ("<none>",) * 2
            created = since_text(one.image.config.created)
            rows.append((*name, short(one.image.id), created, *sizes, str(one.containers)))
    click.echo("Images space usage:\n\n" + format_table(rows))
    rows = [("LAYER", "TAR SIZE", "SHARED SIZE", "UNIQUE SIZE", "RECLAIMABLE", "IMAGES")]
    for layer in usage.layers:
        parts = (layer.size, layer.shared, layer.unique, layer.reclaimable)
        sizes = tuple(human_size(size) for size in parts)
        rows.append((short(layer.diff_id), *sizes, str(layer.images)))
    click.echo("Layers space usage:\n\n" + format_table(rows))
    rows = [("CONTAINER ID", "IMAGE", "SIZE", "RUNNING", "NAME")]
    for owner in usage.containers:
        config = owner.container.config
        running = "yes" if owner.running else "no"
        image = short(config.image_id)
        rows.append((owner.container.short, image, human_size(owner.size), running, config.name))
    click.echo("Containers space usage:\n\n" + format_table(rows))
    rows = [("CACHE ID", "TYPE", "SIZE", "DESCRIPTION")]
    rows += [
        (line.key[:12], line.kind, human_size(line.size), line.description)
        for line in usage.cache_lines
    ]
    share = usage.cache_share
    click.echo(f"Build cache usage: {human_size(share.size)}\n\n" + format_table(rows))
    rows = [("DIRECTORY", "SIZE", "BYTES")]
    rows += [(name, human_size(size), str(size)) for name, size in sorted(usage.places.items())]
    click.echo("Space usage by the directories of the store:\n\n" + format_table(rows))
