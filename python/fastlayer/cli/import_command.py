"""``fastlayer import``."""

from __future__ import annotations

import os
import stat
import sys

import click

from fastlayer.cli.layer_line import LayerLine
from fastlayer.cli.location import open_store
from fastlayer.errors import ArchiveError, UsageError
from fastlayer.image import ImageCatalog
from fastlayer.oci.platform import parse_platform
from fastlayer.oci.reference import parse_reference
from fastlayer.transport.root_tar import import_root_tar

DEFAULT_MESSAGE = "Imported from -"
"""docker's words. The file's name is left out, so that an image does not depend on it."""


@click.command("import")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="CMD, ENV…")
@click.option("-m", "--message", metavar="TEXT", help="The comment of its history.")
@click.option("--platform", metavar="OS/ARCH", help="What it runs on; default: this machine.")
@click.argument("source", metavar="FILE|-")
@click.argument("name", required=False, metavar="[NAME[:TAG]]")
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    name: str | None,
    changes: tuple[str, ...],
    message: str | None,
    platform: str | None,
) -> None:
    """Make an image of the tar of a root file system, plain or compressed."""
    reference = parse_reference(name).with_default_tag() if name else None
    if reference and reference.digest:
        raise UsageError(f"{name}: a name with a digest cannot be given to an image")
    if "://" in source:
        raise UsageError(f"{source}: URLs are not read", hint="download it and pipe it to -")
    catalog = ImageCatalog(open_store(ctx))
    descriptor = sys.stdin.fileno() if source == "-" else _open(source)
    try:
        size = os.fstat(descriptor).st_size
        with LayerLine("reading") as line:
            label = "standard input" if source == "-" else source
            image, layer = import_root_tar(
                catalog,
                descriptor,
                label=label,
                name=reference,
                changes=changes,
                message=message or DEFAULT_MESSAGE,
                platform=parse_platform(platform) if platform else None,
                progress=lambda done, _: line(label, done, size),
            )
    finally:
        if source != "-":
            os.close(descriptor)
    if layer.raw_reason is not None:
        click.echo(
            f"warning: the tar is kept as it is, but cannot be unpacked: {layer.raw_reason}",
            err=True,
        )
    click.echo(image.id)


def _open(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(
            f"{path}: {error.strerror}", hint="give the tar of a root file system, or - for stdin"
        ) from error
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArchiveError(
            f"{path}: is a directory",
            hint=f"give a tar of it: tar -C {path} -c . | fastlayer import -",
        )
    return descriptor
