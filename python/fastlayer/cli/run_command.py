"""``fastlayer run``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fastlayer.cli import container_request as read
from fastlayer.cli import terminal
from fastlayer.cli.location import open_store
from fastlayer.container import lifecycle
from fastlayer.container.creation import CreateRequest, create
from fastlayer.container.network import parse_extra_host
from fastlayer.container.registry import Container
from fastlayer.errors import ContainerError, FastlayerError, ImageNotFoundError, UsageError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.image.failed_steps import FailedSteps
from fastlayer.image.image import Image
from fastlayer.oci.reference import fetch_hint
from fastlayer.store import Store


@click.command(
    "run",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    short_help="Run a command in a new container",
)
@click.option("-i", "--interactive", is_flag=True, help="Keep stdin open.")
@click.option("-t", "--tty", is_flag=True, help="Give the process a terminal.")
@click.option("-d", "--detach", is_flag=True, help="Run in the background and print the id.")
@click.option("--rm", "auto_remove", is_flag=True, help="Remove the container when it ends.")
@click.option("--name", default="", help="Name of the container.")
@click.option("--network", "--net", default="default", help="default, host or none.")
@click.option("-p", "--publish", multiple=True, metavar="HOST:CTR", help="Publish a port.")
@click.option("-e", "--env", multiple=True, metavar="K[=V]", help="Set a variable.")
@click.option("--env-file", multiple=True, metavar="FILE", help="Variables from a file.")
@click.option("-l", "--label", multiple=True, metavar="K=V", help="Set a label.")
@click.option("--label-file", multiple=True, metavar="FILE", help="Labels from a file.")
@click.option("-v", "--volume", multiple=True, metavar="HOST:CTR[:ro]", help="Mount a path.")
@click.option("--mount", multiple=True, metavar="K=V,…", help="Mount type=bind or type=tmpfs.")
@click.option("--tmpfs", multiple=True, metavar="PATH[:OPT]", help="Mount a tmpfs.")
@click.option("-w", "--workdir", default="", help="Working directory.")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Who the process is.")
@click.option("--group-add", multiple=True, help="A further group of the process.")
@click.option("--entrypoint", default=None, help="Instead of the image's entrypoint.")
@click.option("-h", "--hostname", default="", help="Host name inside.")
@click.option("--add-host", multiple=True, metavar="NAME:IP", help="A line of /etc/hosts.")
@click.option("--read-only", is_flag=True, help="The root file system cannot be written.")
@click.option("--cap-add", multiple=True, metavar="CAP", help="Add a capability.")
@click.option("--cap-drop", multiple=True, metavar="CAP", help="Drop a capability.")
@click.option("--privileged", is_flag=True, help="All capabilities, all devices.")
@click.option("--shm-size", default="64m", help="Size of /dev/shm.")
@click.option("--ulimit", multiple=True, metavar="N=S[:H]", help="A resource limit.")
@click.option("--stop-signal", default="", help="Signal of fastlayer stop.")
@click.option("--stop-timeout", default=10, help="Seconds before fastlayer stop kills.")
@click.option("--cidfile", default="", metavar="FILE", help="Write the id to a file.")
@click.option(
    "--help",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    help="Show this help.",
    callback=lambda ctx, _, value: _show_help(ctx, value),
)
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, /, **options: object) -> int:
    """Run COMMAND in a new container of IMAGE."""
    store = open_store(ctx)
    return _run(store, options)


def _show_help(ctx: click.Context, value: bool) -> None:
    if value:
        click.echo(ctx.get_help())
        ctx.exit()


def _run(store: Store, options: dict[str, object]) -> int:
    detach = bool(options["detach"])
    tty = bool(options["tty"])
    interactive = bool(options["interactive"])
    if tty and interactive and not detach and not terminal.is_terminal():
        raise UsageError("the input device is not a terminal", hint="leave -t away")
    cidfile = str(options["cidfile"])
    if cidfile and Path(cidfile).exists():
        raise UsageError(f"container id file {cidfile} exists already", hint="delete it first")
    try:
        image = ImageCatalog(store).resolve(str(options["image"]))
    except ImageNotFoundError as error:
        failed = FailedSteps(store).find(str(options["image"]))
        if failed is None:
            raise _not_in_store(error, str(options["image"])) from error
        image = failed
    request = create_request(options)
    if request.ports and request.network != "none":
        click.echo(read.HOST_NETWORK_WARNING, err=True)
    container = _create(store, image, request)
    if cidfile:
        Path(cidfile).write_text(container.identifier)
    try:
        session = lifecycle.start(store, container, terminal.window_size() if tty else None)
    except (ContainerError, KeyboardInterrupt):
        if container.directory.exists() and (request.auto_remove or container.is_running()):
            lifecycle.remove(store, container, force=True)
        raise
    if detach:
        session.close()
        click.echo(container.identifier)
        return 0
    code = terminal.interact(session, stdin=interactive, terminal=tty)
    sys.stdout.flush()
    return 0 if code is None else code


def _create(store: Store, image: Image, request: CreateRequest) -> Container:
    try:
        return create(store, image, request)
    except FastlayerError as error:
        error.exit_code = 125
        raise


def _not_in_store(error: ImageNotFoundError, name: str) -> ImageNotFoundError:
    found = ImageNotFoundError(error.message, hint=fetch_hint(name))
    found.exit_code = 125
    return found


def create_request(options: dict[str, object]) -> CreateRequest:
    """The options of the command line as what a container is created with.

    Raises
    ------
    UsageError
        An option's text is wrong, or asks for what is not supported.
    """

    def texts(name: str) -> tuple[str, ...]:
        value = options[name]
        assert isinstance(value, tuple)
        return value

    mounts, anonymous = read.read_volumes(texts("volume"))
    entrypoint = options["entrypoint"]
    return CreateRequest(
        image_name=str(options["image"]),
        name=str(options["name"]),
        command=texts("command"),
        entrypoint=None if entrypoint is None else str(entrypoint),
        environment=read.read_environment(texts("env_file"), texts("env"), os.environ),
        labels=read.read_labels(texts("label_file"), texts("label")),
        user=str(options["user"]),
        working_directory=_working_directory(str(options["workdir"])),
        hostname=str(options["hostname"]),
        network=str(options["network"]),
        ports=read.read_ports(texts("publish")),
        mounts=(
            *mounts,
            *read.read_mounts(texts("mount")),
            *read.read_tmpfs(texts("tmpfs")),
        ),
        anonymous_volumes=anonymous,
        terminal=bool(options["tty"]),
        open_stdin=bool(options["interactive"]),
        auto_remove=bool(options["auto_remove"]),
        read_only=bool(options["read_only"]),
        privileged=bool(options["privileged"]),
        cap_add=texts("cap_add"),
        cap_drop=texts("cap_drop"),
        group_add=texts("group_add"),
        extra_hosts=tuple(parse_extra_host(text) for text in texts("add_host")),
        shm_size=read.read_size(str(options["shm_size"]), "--shm-size"),
        ulimits=read.read_ulimits(texts("ulimit")),
        stop_signal=_stop_signal(str(options["stop_signal"])),
        stop_timeout=int(str(options["stop_timeout"])),
    )


def _working_directory(text: str) -> str:
    if text and not text.startswith("/"):
        raise UsageError(f"the working directory {text} is invalid: it must be an absolute path")
    return os.path.normpath(text) if text else ""


def _stop_signal(text: str) -> str:
    if text:
        lifecycle.parse_signal(text)
    return text
