"""Where the store is: ``--root``, ``$FASTLAYER_ROOT``, or the user's data folder (DESIGN.md 1)."""

from __future__ import annotations

import os

import click

from fastlayer.store import Store, default_root


def open_store(ctx: click.Context) -> Store:
    """The store that the command line names; made where it does not exist yet.

    An ordinary user becomes root of a user namespace first, where the kernel permits that: there
    are files in the store that no other process of the user may remove, and RUN needs it.
    """
    named = ctx.find_root().obj
    root = named if isinstance(named, str) else default_root()
    if os.geteuid() != 0:
        from fastlayer.container import user_namespace

        user_namespace.enter()
    return Store(root)
