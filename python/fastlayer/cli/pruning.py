"""What the prune commands have in common: their question, their filters and their report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from fastlayer.cli.human import human_size
from fastlayer.errors import UsageError

if TYPE_CHECKING:
    from fastlayer.builder.cache_choice import CacheFilter
    from fastlayer.builder.storage import Pruned
    from fastlayer.image import Image, ImageCatalog


def confirm(warning: str, *, force: bool, dry_run: bool) -> None:
    """Ask, unless nothing needs to be asked.

    Raises
    ------
    UsageError
        The answer is no, or nobody is there to answer.
    """
    if force or dry_run:
        return
    click.echo(f"WARNING! {warning}")
    if not click.confirm("Are you sure you want to continue?"):
        raise UsageError("nothing was removed", hint="give -f to prune without a question")


def until(filters: Sequence[str]) -> float | None:
    """The moment that ``until=`` names, in seconds since the epoch; None without one.

    Raises
    ------
    UsageError
        Another filter, or neither a time nor a span.
    """
    from fastlayer.cli.image_filter import moment

    found = None
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in {"until", "unused-for"}:
            raise UsageError(f"filter {text!r} is not supported", hint="write until=24h")
        found = moment(value)
    return found


def cache_filter(filters: Sequence[str]) -> CacheFilter | None:
    """What of the build cache the filters mean; None without any.

    Raises
    ------
    UsageError
        A filter that is none, or a type that does not exist.
    """
    from fastlayer.builder.cache_choice import TYPES, CacheFilter

    if not filters:
        return None
    times: list[str] = []
    values: dict[str, list[str]] = {"id": [], "type": []}
    for text in filters:
        key, equals, value = text.partition("=")
        if key in {"until", "unused-for"}:
            times.append(text)
        elif equals and value and key in values:
            values[key].append(value)
        else:
            raise UsageError(f"filter {text!r} is not supported", hint="filters: until, id, type")
    for kind in values["type"]:
        if kind not in TYPES:
            raise UsageError(f"filter type={kind}: no such type", hint=f"one of {', '.join(TYPES)}")
    return CacheFilter(unused_since=until(times), types=values["type"], keys=values["id"])


def image_choice(
    catalog: ImageCatalog, filters: Sequence[str], *, everything: bool
) -> Callable[[Image], bool]:
    """Which images go: those without a name, or all, as far as the filters accept them.

    Raises
    ------
    UsageError
        A filter that is none.
    """
    from fastlayer.cli.image_filter import image_filters

    for text in filters:
        if text.partition("=")[0] not in {"until", "label", "label!"}:
            raise UsageError(
                f"filter {text!r} is not supported", hint="filters: until, label, label!"
            )
    wanted = image_filters(catalog, [text for text in filters if not text.startswith("label!=")])
    unwanted = image_filters(
        catalog, [text.replace("!=", "=", 1) for text in filters if text.startswith("label!=")]
    )

    def chosen(image: Image) -> bool:
        if image.tags and not everything:
            return False
        return all(accepts(image) for accepts in wanted) and not any(
            accepts(image) for accepts in unwanted
        )

    return chosen


def report(pruned: Pruned, *, dry_run: bool) -> None:
    """Print what went, as docker does."""
    parts = (
        ("Deleted Containers:", pruned.containers),
        (
            "Deleted Images:",
            (
                *(f"untagged: {name}" for name in pruned.untagged),
                *(f"deleted: {image}" for image in pruned.images),
            ),
        ),
        (
            "Deleted build cache objects:",
            tuple(key[:25] for key in pruned.cache.keys),
        ),
        ("Deleted Layers:", pruned.layers),
    )
    for title, lines in parts:
        if lines:
            click.echo("\n".join((title, *lines)) + "\n")
    size = human_size(pruned.freed)
    if pruned.freed >= 1000:  # the words are rounded
        size += f" ({pruned.freed} bytes)"
    if dry_run:
        click.echo(f"Total reclaimable space: {size}")
        return
    click.echo(f"Total reclaimed space: {size}")
    if pruned.postponed:
        click.echo(
            "warning: file contents were left to the next prune: other commands are storing layers",
            err=True,
        )
