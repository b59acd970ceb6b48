"""``fastlayer fsck``."""

from __future__ import annotations

import click

from fastlayer.cli.location import open_store
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import ConflictError, CorruptError
from fastlayer.image.check import check_images
from fastlayer.store import Problem, Store


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Make what is damaged again from what is whole.")
@click.pass_context
def command(ctx: click.Context, *, repair: bool) -> None:
    """Check names, images, layers and every stored byte; exits with 1 where anything is wrong.

    --repair takes kept blobs in again, removes what is damaged, so that loading an image puts it
    back, and says what is still wrong.
    """
    store = open_store(ctx)
    problems = _repair(store) if repair else store.fsck()
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
