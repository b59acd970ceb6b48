"""One action on several things: what fails is reported, the rest is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from fastlayer.errors import FastlayerError


def for_each(names: Iterable[str], action: Callable[[str], None]) -> None:
    """Do the action for each name; the first error is raised when all were tried.

    Errors after the first are printed as they happen.
    """
    first: FastlayerError | None = None
    for name in names:
        try:
            action(name)
        except FastlayerError as error:
            if first is None:
                first = error
            else:
                click.echo(f"error: {error}", err=True)
    if first is not None:
        raise first
