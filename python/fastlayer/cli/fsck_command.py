"""``fastlayer fsck``."""

from __future__ import annotations

import click

from fastlayer.cli.location import open_store
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import ConflictError, CorruptError, UsageError
from fastlayer.image.check import check_images
from fastlayer.store import Problem, Store

DEEPEST = 4
"""The level that includes all others."""


@click.command("fsck")
@click.option(
    "--level",
    type=click.IntRange(1, DEEPEST),
    default=DEEPEST,
    help="How far: 1 names, 2 hashes of contents, 3 tars of layers, 4 checkouts (default 4).",
)
@click.option("--repair", is_flag=True, help="Make what is damaged again from what is whole.")
@click.pass_context
def command(ctx: click.Context, *, level: int, repair: bool) -> None:
    """Check names, images, layers and every stored byte; exits with 1 where anything is wrong.

    \b
    --level 1  names lead to images, images to layers, layers to contents
    --level 2  and contents and blobs have the hashes that they are named by
    --level 3  and layers give their tars, and tree indexes are what these say
    --level 4  and checkouts are what the tree indexes say

    --repair checks all of it, and makes what is damaged again from any other copy: a checkout,
    the frames that a save left, a kept blob. A layer that no copy is left of is taken out, so that
    loading or building its image puts it back. It says what is still wrong.
    """
    if repair and level != DEEPEST:
        raise UsageError("--repair checks all levels", hint="leave --level out")
    store = open_store(ctx)
    problems = _repair(store) if repair else store.fsck(level=level)
    lines = [(p.what, p.name, p.detail) for p in check_images(store)]
    lines += [(p.what, p.name, p.detail) for p in problems]
    for what, name, detail in lines:
        click.echo(f"{what} {name}: {detail}")
    if lines:
        raise CorruptError(
            f"{store.root}: {len(lines)} problems",
            hint="load or build the images again that need what is damaged"
            if repair
            else "fastlayer fsck --repair mends what it can",
        )
    click.echo("no problems found")


def _repair(store: Store) -> list[Problem]:
    """Repair; gives what is still wrong."""
    for container in ContainerRegistry(store.root).all():
        if container.is_running():
            raise ConflictError(
                f"container {container.short} runs on what may have to be removed",
                hint=f"fastlayer stop {container.short} first",
            )
    found, left = store.repair()
    still = {(problem.what, problem.name) for problem in left}
    for problem in found:
        if (problem.what, problem.name) not in still:
            click.echo(f"repaired: {problem.what} {problem.name}: {problem.detail}")
    return left
