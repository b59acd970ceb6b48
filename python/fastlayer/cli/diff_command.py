"""``fastlayer diff``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from fastlayer.cli.location import open_store
from fastlayer.cli.place import find, split_kind
from fastlayer.container.diff import container_changes
from fastlayer.container.registry import Container
from fastlayer.errors import UsageError
from fastlayer.image.image import Image
from fastlayer.store import Change, Store


@click.command("diff", short_help="Show the changes of a container, or between two images")
@click.argument("name")
@click.argument("other", required=False)
@click.pass_context
def command(ctx: click.Context, name: str, other: str | None) -> None:
    """Show what container NAME changed, or how image OTHER differs from image NAME.

    A is an added path, C a changed one, D a deleted one.
    """
    store = open_store(ctx)
    if other is None:
        found = find(store, *split_kind(name))
        if not isinstance(found, Container):
            raise UsageError(f"{name} is an image", hint="give a container, or a second image")
        _print(container_changes(store, found))
        return
    _print(store.compare(_image(store, name).chain, _image(store, other).chain))


def _image(store: Store, text: str) -> Image:
    kind, name = split_kind(text)
    found = find(store, kind or "image", name)
    if not isinstance(found, Image):
        raise UsageError(f"{text} is a container", hint="two names must be two images")
    return found


def _print(changes: Iterable[Change]) -> None:
    output = sys.stdout.buffer
    for change in changes:
        output.write(b"%s /%s\n" % (change.kind.encode(), change.path))
    output.flush()
