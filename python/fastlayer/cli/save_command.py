"""``fastlayer save``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fastlayer.cli.layer_line import LayerLine
from fastlayer.cli.location import open_store
from fastlayer.errors import UsageError
from fastlayer.image import ImageCatalog
from fastlayer.oci.digest import short
from fastlayer.oci.platform import parse_platform
from fastlayer.transport.output_file import new_file
from fastlayer.transport.save import CODECS, SaveOptions, save
from fastlayer.transport.selection import select


@click.command("save")
@click.option("-o", "--output", metavar="FILE", help="Write to a file instead of standard output.")
@click.option("--platform", metavar="OS/ARCH", help="Which platform of a name.")
@click.option(
    "--compression",
    type=click.Choice(CODECS),
    help="Of layers. By default a loaded image keeps its own, any other gets gzip.",
)
@click.option("--compression-level", type=int, metavar="N", help="Default: gzip 6, zstd 3.")
@click.argument("images", nargs=-1, required=True)
@click.pass_context
def command(
    ctx: click.Context,
    images: tuple[str, ...],
    output: str | None,
    platform: str | None,
    compression: str | None,
    compression_level: int | None,
) -> None:
    """Save IMAGES to an archive: an OCI layout that docker load reads, too."""
    if output is None and os.isatty(sys.stdout.fileno()):
        raise UsageError(
            "cowardly refusing to save to a terminal", hint="use -o FILE, or redirect the output"
        )
    if compression_level is not None and compression is None:
        compression = "gzip"
    catalog = ImageCatalog(open_store(ctx))
    wanted = parse_platform(platform) if platform else None
    selections = select(catalog, images, platform=wanted)
    options = SaveOptions(codec=compression, level=compression_level)
    with LayerLine("saving layer") as line:
        if output is None:
            sys.stdout.flush()
            report = save(catalog, selections, sys.stdout.fileno(), options, progress=line)
        else:
            with new_file(Path(output)) as descriptor:
                report = save(catalog, selections, descriptor, options, progress=line)
    for image_id in report.rewritten:
        click.echo(
            f"warning: image {short(image_id)} has a new manifest: the compressed layers it was "
            "loaded with are no longer in the store",
            err=True,
        )
