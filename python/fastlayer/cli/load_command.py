"""``fastlayer load``."""

from __future__ import annotations

import sys

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.layer_line import LayerLine
from fastlayer.cli.location import open_store
from fastlayer.errors import UsageError
from fastlayer.image import ImageCatalog
from fastlayer.oci.platform import parse_platform
from fastlayer.transport.load import load, load_path


@click.command("load", cls=GoCommand)
@click.option("-i", "--input", "path", metavar="FILE", help="A file or layout directory.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("--platform", metavar="OS/ARCH", help="Which platform of an image for several.")
@click.pass_context
def command(ctx: click.Context, path: str | None, platform: str | None, *, quiet: bool) -> None:
    """Load images from a docker archive or an OCI layout; from standard input without -i."""
    if path is None and sys.stdin.isatty():
        raise UsageError("standard input is a terminal", hint="give -i FILE, or redirect the input")
    catalog = ImageCatalog(open_store(ctx))
    wanted = parse_platform(platform) if platform else None
    with LayerLine("loading layer", quiet=quiet) as line:
        if path is None:
            label, stream = "standard input", sys.stdin.fileno()
            loaded = load(catalog, stream, label=label, platform=wanted, progress=line)
        else:
            loaded = load_path(catalog, path, platform=wanted, progress=line)
    for image in loaded:
        for warning in image.warnings:
            click.echo(f"warning: {warning}", err=True)
    if quiet:
        return
    for image in loaded:
        for name in image.names:
            click.echo(f"Loaded image: {name}")
        if not image.names:
            click.echo(f"Loaded image ID: {image.image.id}")
            click.echo("hint: it has no name in the archive: fastlayer tag gives it one", err=True)
