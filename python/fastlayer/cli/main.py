"""The ``fastlayer`` command: a lazy group, global options, and errors turned into text.

A command's module is imported only when it is called, so that start-up stays below the time of
the work. This package is the only place that prints.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from fastlayer import errors

COMMANDS = {
    "build": "Build an image from a Dockerfile",
    "builder": "Manage the build cache",
    "cat": "Print a file of an image",
    "commit": "Create an image from a container's changes",
    "cp": "Copy files out of an image or container",
    "df": "Show disk usage",
    "diff": "Show the changes of a container, or between two images",
    "exec": "Run a command in a running container",
    "fsck": "Check the store",
    "history": "Show the history of an image",
    "image": "Manage images",
    "images": "List images",
    "import": "Make an image of a root file system's tar",
    "inspect": "Show an image's or container's details",
    "load": "Load images from an archive",
    "logs": "Print a container's output",
    "ls": "List a directory of an image",
    "ps": "List containers",
    "rm": "Remove containers",
    "rmi": "Remove images",
    "run": "Run a command in a new container",
    "save": "Save images to an archive",
    "start": "Start stopped containers",
    "stop": "Stop running containers",
    "system": "Show disk usage, and give back what nobody needs",
    "tag": "Give an image another name",
}
"""Every command, with its one-line help: the group's listing needs no import of the command."""


class LazyGroup(click.Group):
    """Finds a command's module by its name, at the time it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; ``None`` for an unknown one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"fastlayer.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the listing of commands from their one-line helps."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", metavar="DIR", help="The store (default: $FASTLAYER_ROOT).")
@click.version_option(package_name="fastlayer-oci", prog_name="fastlayer")
@click.pass_context
def group(ctx: click.Context, root: str | None) -> None:
    """Build container images and store their layers, without a daemon."""
    ctx.obj = root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    try:
        result = group.main(args=arguments, prog_name="fastlayer", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return 125 if isinstance(error, click.UsageError) else error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("error: interrupted\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except errors.FastlayerError as error:
        if isinstance(error, errors.StoreIOError) and error.errno == errno.EPIPE:
            return 141  # who reads our output has had enough, and a shell says so by this number
        sys.stderr.write(f"error: {error}\n")
        if isinstance(error, errors.PlacedError):
            sys.stderr.write(error.excerpt())
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return error.exit_code
    return result if isinstance(result, int) else 0


def entry() -> None:
    """Console-script entry point."""
    code = main()
    # What was asked for is done, or its failure told: Ctrl-C must not change that any more.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where Ctrl-C hit the execution of a text (a dataclass being made, say), CPython remembers it,
    # although it was caught, and ends `python -m` by the signal: Py_RunMain, exit_sigint. The next
    # text that is executed makes it forget.
    exec("")
    sys.exit(code)
