"""``fastlayer history``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.human import human_size
from fastlayer.cli.listing import render
from fastlayer.cli.location import open_store
from fastlayer.cli.moment import since_text, zone_time_text
from fastlayer.errors import DocumentError
from fastlayer.image import Image, ImageCatalog
from fastlayer.oci.digest import short
from fastlayer.oci.platform import parse_platform

HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
TABLE = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
MISSING = "<missing>"
"""What stands for an id in all rows but the first."""
CREATED_BY_WIDTH = 45


@click.command("history", cls=GoCommand)
@click.option("--no-trunc", is_flag=True, help="Do not cut texts short.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
@click.option("-H", "--human/--no-human", default=True, help="Sizes and times for people.")
@click.option("--format", "form", metavar="TEMPLATE", help="json, table TEMPLATE, or a template.")
@click.option("--platform", metavar="OS/ARCH", help="Which platform of a name.")
@click.argument("image")
@click.pass_context
def command(
    ctx: click.Context,
    image: str,
    form: str | None,
    platform: str | None,
    *,
    no_trunc: bool,
    quiet: bool,
    human: bool,
) -> None:
    """Show how IMAGE was made, the newest step first."""
    catalog = ImageCatalog(open_store(ctx))
    wanted = parse_platform(platform) if platform else None
    found = catalog.resolve(image, platform=wanted)
    rows = list(_rows(catalog, found, cut=not no_trunc, human=human))
    if quiet:
        form = form or "{{.ID}}"
    click.echo(render(rows, headers=HEADERS, table=TABLE, form=form), nl=False)


def _rows(
    catalog: ImageCatalog, image: Image, *, cut: bool, human: bool
) -> Iterator[dict[str, object]]:
    entries = image.config.history
    if sum(not entry.empty_layer for entry in entries) > len(image.chain):
        raise DocumentError(f"image {short(image.id)}: its history has more layers than it has")
    sizes = _sizes(catalog, image)
    for number in range(len(entries) - 1, -1, -1):
        entry, size = entries[number], sizes[number]
        created_by = entry.created_by.replace("\t", " ")
        identifier = image.id if number == len(entries) - 1 else MISSING
        created_at = zone_time_text(entry.created)
        yield {
            "ID": short(identifier) if cut and identifier != MISSING else identifier,
            "CreatedSince": since_text(entry.created) if human else created_at,
            "CreatedAt": created_at,
            "CreatedBy": shorten(created_by, CREATED_BY_WIDTH) if cut else created_by,
            "Size": human_size(size) if human else str(size),
            "Comment": entry.comment,
        }


def _sizes(catalog: ImageCatalog, image: Image) -> list[int]:
    """Bytes of each history entry's layer; 0 where it made none."""
    layers = iter(image.chain)
    return [
        0 if entry.empty_layer else catalog.layer_size(next(layers))
        for entry in image.config.history
    ]


def shorten(text: str, width: int) -> str:
    """The text cut to ``width`` characters, the last of them an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"
