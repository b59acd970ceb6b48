"""Where the store is: ``--root``, ``$FASTLAYER_ROOT``, or the user's data folder (DESIGN.md 1)."""

from __future__ import annotations

import click

from fastlayer.store import Store, default_root


def open_store(ctx: click.Context) -> Store:
    """The store that the command line names; made where it does not exist yet."""
    root = ctx.find_root().obj
    return Store(root if isinstance(root, str) else default_root())
