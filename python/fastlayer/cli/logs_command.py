"""``fastlayer logs``."""

from __future__ import annotations

import sys
import time

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.location import open_store
from fastlayer.container import log
from fastlayer.container.document import parse_timestamp
from fastlayer.container.log import LogEntry
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.errors import UsageError

_POLL_SECONDS = 0.05


@click.command("logs", cls=GoCommand, short_help="Print a container's output")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", metavar="N", help="The last N lines only.")
@click.option("-t", "--timestamps", is_flag=True, help="Show the time of each line.")
@click.argument("container")
@click.pass_context
def command(ctx: click.Context, follow: bool, tail: str, timestamps: bool, container: str) -> None:
    """Print what CONTAINER has written."""
    found = ContainerRegistry(open_store(ctx).root).find(container)
    count = _tail(tail)
    if follow:
        _follow(found, count, timestamps)
        return
    for entry in log.read(found.log, tail=count):
        _print(entry, timestamps)


def _tail(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return max(int(text), 0)
    except ValueError:
        raise UsageError(f"invalid value for --tail: {text}", hint="a number, or all") from None


def _follow(container: Container, count: int | None, timestamps: bool) -> None:
    """Print the log and what is added to it, until no monitor writes it any more."""
    while not container.log.exists():
        if not container.is_running():
            return
        time.sleep(_POLL_SECONDS)
    offset = 0 if count is None else log.tail_offset(container.log, count)
    with container.log.open("rb") as file:
        file.seek(offset)
        rest = b""
        while True:
            # Looked at before the read: what was written before the end is read after it.
            running = container.directory.exists() and container.is_running()
            lines = (rest + file.read()).split(b"\n")
            rest = lines.pop()
            for line in lines:
                entry = log.decode(line)
                if entry is not None:
                    _print(entry, timestamps)
            if not running:
                return
            time.sleep(_POLL_SECONDS)


def _print(entry: LogEntry, timestamps: bool) -> None:
    stream = sys.stderr if entry.stream == 2 else sys.stdout
    if timestamps:
        stream.write(f"{_fixed(entry.time)} ")
    stream.write(entry.text)
    stream.flush()


def _fixed(time_text: str) -> str:
    """The time with all nine digits, so that lines are aligned."""
    fraction = parse_timestamp(time_text) % 1_000_000_000
    return f"{time_text[:19]}.{fraction:09d}Z"
