"""``fastlayer inspect``."""

from __future__ import annotations

import click

from fastlayer.cli.container_details import container_details
from fastlayer.cli.go_value import Record, json_text
from fastlayer.cli.image_details import image_details
from fastlayer.cli.location import open_store
from fastlayer.cli.place import find, split_kind
from fastlayer.cli.several import for_each
from fastlayer.cli.template import Template
from fastlayer.container.registry import Container
from fastlayer.image import ImageCatalog
from fastlayer.oci.platform import parse_platform

_INDENT = 4


@click.command("inspect")
@click.option("-f", "--format", "form", metavar="TEMPLATE", help="A Go template, or json.")
@click.option("--type", "only", type=click.Choice(["container", "image"]), help="Only these.")
@click.option("--platform", metavar="OS/ARCH", help="Which platform of a name.")
@click.argument("names", nargs=-1, required=True)
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    form: str | None,
    only: str | None,
    platform: str | None,
) -> None:
    """Show everything about containers and images, as JSON or through a template."""
    catalog = ImageCatalog(open_store(ctx))
    wanted = parse_platform(platform) if platform else None
    template = Template(form) if form not in {None, "", "json"} and form else None
    found: list[Record] = []

    def inspect(name: str) -> None:
        kind, bare = (only, name) if only else split_kind(name)
        thing = find(catalog.store, kind, bare, platform=wanted)
        if isinstance(thing, Container):
            details = container_details(catalog.store, thing)
        else:
            details = image_details(catalog, thing)
        if template is not None:
            click.echo(template.render(details))
        else:
            found.append(details)

    try:
        for_each(names, inspect)
    finally:
        if form == "json":
            click.echo(json_text(found))
        elif template is None:
            click.echo(json_text(found, indent=_INDENT))
