"""Commands that do one thing to each of several names: one failure does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from fastlayer.errors import FastlayerError


def for_each(names: Iterable[str], action: Callable[[str], None]) -> int:
    """Do it to each and print those it worked for; gives the exit code.

    The errors go to stderr as they happen, each with its hint.
    """
    code = 0
    for name in names:
        try:
            action(name)
        except FastlayerError as error:
            click.echo(f"error: {error}", err=True)
            if error.hint:
                click.echo(f"hint: {error.hint}", err=True)
            code = 1
        else:
            click.echo(name)
    return code
