"""``fastlayer exec``."""

from __future__ import annotations

import os

import click

from fastlayer.cli import terminal
from fastlayer.cli.container_request import read_environment
from fastlayer.cli.location import open_store
from fastlayer.container.execution import ExecRequest, execute
from fastlayer.container.lifecycle import Session
from fastlayer.container.registry import ContainerRegistry
from fastlayer.errors import UsageError

DETACHED = 1
"""The exit code where the user left the terminal and the process behind, as docker's is."""


@click.command(
    "exec",
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in a running container",
)
@click.option("-i", "--interactive", is_flag=True, help="Pass stdin on.")
@click.option("-t", "--tty", is_flag=True, help="Give the process a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it.")
@click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set a variable.")
@click.option("--env-file", multiple=True, metavar="FILE", help="Variables from a file.")
@click.option("-w", "--workdir", default="", help="Working directory.")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Who the process is.")
@click.option("--privileged", is_flag=True, help="All capabilities.")
@click.argument("container")
@click.argument("command_line", metavar="COMMAND…", nargs=-1, required=True)
@click.pass_context
def command(
    ctx: click.Context,
    interactive: bool,
    tty: bool,
    detach: bool,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    workdir: str,
    user: str,
    privileged: bool,
    container: str,
    command_line: tuple[str, ...],
) -> int:
    """Run COMMAND in CONTAINER, which must be running."""
    if tty and not terminal.is_terminal():
        raise UsageError("the input device is not a terminal", hint="leave -t away")
    store = open_store(ctx)
    request = ExecRequest(
        command=command_line,
        environment=read_environment(env_file, env, os.environ),
        user=user,
        working_directory=workdir,
        terminal=tty,
        size=terminal.window_size() if tty else None,
        stdin=interactive or tty,
        detach=detach,
        privileged=privileged,
    )
    found = ContainerRegistry(store.root).find(container)
    return execute(store, found, request, _attend)


def _attend(session: Session) -> int:
    code = terminal.interact(session, stdin=True, terminal=True)
    return DETACHED if code is None else code
