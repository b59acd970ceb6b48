"""``fastlayer images``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.human import human_size
from fastlayer.cli.image_filter import image_filters, matches_reference, reference_patterns
from fastlayer.cli.listing import render
from fastlayer.cli.location import open_store
from fastlayer.cli.moment import clock_text, since_text
from fastlayer.image import Image, ImageCatalog
from fastlayer.oci.digest import short
from fastlayer.oci.reference import Reference, parse_reference

HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
TABLE = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
DIGEST_TABLE = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
NONE = "<none>"


@click.command("images", cls=GoCommand)
@click.option("-a", "--all", "everything", is_flag=True, help="Images without a name as well.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
@click.option("--digests", is_flag=True, help="Show the digests images were loaded with.")
@click.option("--no-trunc", is_flag=True, help="Do not cut ids short.")
@click.option("--format", "form", metavar="TEMPLATE", help="json, table TEMPLATE, or a template.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only these.")
@click.argument("name", required=False)
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    form: str | None,
    filters: tuple[str, ...],
    *,
    everything: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
) -> None:
    """List images, or those called NAME.

    Images without a name are listed either way, so -a adds nothing: there are no intermediate ones.
    """
    del everything
    catalog = ImageCatalog(open_store(ctx))
    images = catalog.list()
    accept = image_filters(catalog, filters)
    patterns = reference_patterns(filters) + ([name] if name else [])
    chosen = [image for image in images if all(accepts(image) for accepts in accept)]
    sharing = Counter(diff_id for image in images for diff_id in set(image.chain))
    rows = [
        row
        for image in chosen
        for row in _rows(catalog, image, patterns, sharing, digests=digests, cut=not no_trunc)
    ]
    if quiet:
        form = form or "{{.ID}}"
    table = DIGEST_TABLE if digests else TABLE
    click.echo(render(rows, headers=HEADERS, table=table, form=form), nl=False)


def _rows(
    catalog: ImageCatalog,
    image: Image,
    patterns: Sequence[str],
    sharing: Counter[str],
    *,
    digests: bool,
    cut: bool,
) -> Iterator[dict[str, object]]:
    tags = [
        tag
        for tag in image.tags
        if not patterns or any(matches_reference(tag, pattern) for pattern in patterns)
    ]
    if not tags and patterns:
        return
    shared = sum(catalog.layer_size(diff_id) for diff_id in image.chain if sharing[diff_id] > 1)
    size = catalog.size(image)
    by_name = {parse_reference(text).name: parse_reference(text) for text in image.digests}
    names: list[Reference | None] = [parse_reference(tag) for tag in tags]
    for reference in names or [None]:
        pinned = by_name.get(reference.name) if reference else None
        yield {
            "Repository": reference.familiar_name if reference else NONE,
            "Tag": (reference.tag or NONE) if reference else NONE,
            "Digest": (pinned.digest if pinned and digests else None) or NONE,
            "ID": short(image.id) if cut else image.id,
            "CreatedSince": since_text(image.config.created),
            "CreatedAt": clock_text(image.config.created),
            "Size": human_size(size),
            "SharedSize": human_size(shared),
            "UniqueSize": human_size(size - shared),
            "Containers": "N/A",
        }
