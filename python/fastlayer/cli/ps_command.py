"""``fastlayer ps``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.cli.human import human_age, human_duration
from fastlayer.cli.listing import render
from fastlayer.cli.location import open_store
from fastlayer.container.document import parse_timestamp
from fastlayer.container.lifecycle import current_state
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.container.state import ContainerState
from fastlayer.errors import ContainerNotFoundError, UsageError

_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
}
_TABLE = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
_COMMAND_WIDTH = 20
_FILTERS = ("id", "name", "status", "ancestor", "label", "exited")


@click.command("ps", cls=GoCommand, short_help="List containers")
@click.option("-a", "--all", "everything", is_flag=True, help="Those that do not run, too.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("-n", "--last", type=int, default=-1, metavar="N", help="The N newest ones.")
@click.option("-l", "--latest", is_flag=True, help="The newest one.")
@click.option("--no-trunc", is_flag=True, help="Cut nothing short.")
@click.option("--format", "form", default=None, help="table, json or a template.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="K=V", help="Only such ones.")
@click.pass_context
def command(
    ctx: click.Context,
    everything: bool,
    quiet: bool,
    last: int,
    latest: bool,
    no_trunc: bool,
    form: str | None,
    filters: tuple[str, ...],
) -> None:
    """List containers."""
    store = open_store(ctx)
    tests = [_parse_filter(text) for text in filters]
    count = 1 if latest else last
    names_status = any(text.startswith(("status=", "exited=")) for text in filters)
    found = []
    for container in ContainerRegistry(store.root).all():
        with contextlib.suppress(ContainerNotFoundError):  # removed meanwhile
            found.append((container, current_state(store, container)))
    shown = [(c, s) for c, s in found if all(test(c, s) for test in tests)]
    if count >= 0:
        shown = shown[:count]
    elif not everything and not names_status:
        shown = [(c, s) for c, s in shown if s.status == "running"]
    if quiet:
        for container, _ in shown:
            click.echo(container.identifier if no_trunc else container.short)
        return
    rows = (_row(container, state, no_trunc) for container, state in shown)
    click.echo(render(rows, headers=_HEADERS, table=_TABLE, form=form), nl=False)


def status_text(state: ContainerState, now: float) -> str:
    """docker's STATUS: ``Up 3 minutes``, ``Exited (0) 2 hours ago``, ``Created``."""
    if state.status == "running":
        return f"Up {human_duration(now - parse_timestamp(state.started) / 1e9)}"
    if state.status == "exited":
        age = human_age(now - parse_timestamp(state.finished) / 1e9)
        return f"Exited ({state.exit_code}) {age}"
    return "Created"


def command_text(container: Container, no_trunc: bool) -> str:
    """The command in double quotes, cut to twenty characters with an ellipsis."""
    text = " ".join((container.config.path, *container.config.arguments))
    if not no_trunc and len(text) > _COMMAND_WIDTH:
        text = text[: _COMMAND_WIDTH - 1] + "…"
    return json.dumps(text, ensure_ascii=False)


def _row(container: Container, state: ContainerState, no_trunc: bool) -> Mapping[str, object]:
    config = container.config
    created = parse_timestamp(config.created)
    labels = _labels(container)
    return {
        "ID": container.identifier if no_trunc else container.short,
        "Image": config.image,
        "Command": command_text(container, no_trunc),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(created / 1e9)),
        "RunningFor": human_age(time.time() - created / 1e9),
        "Status": status_text(state, time.time()),
        "State": state.status,
        "Ports": "",
        "Names": config.name,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Mounts": ",".join(mount.source or mount.target for mount in config.mounts),
        "Networks": config.network,
    }


def _labels(container: Container) -> Mapping[str, str]:
    section = container.config.document.get("config")
    labels = section.get("Labels") if isinstance(section, dict) else None
    return labels if isinstance(labels, dict) else {}


def _parse_filter(text: str) -> Callable[[Container, ContainerState], bool]:
    key, found, value = text.partition("=")
    if not found or key not in _FILTERS:
        raise UsageError(f"invalid filter: {text}", hint=f"one of {', '.join(_FILTERS)}, as K=V")

    def test(container: Container, state: ContainerState) -> bool:
        config = container.config
        match key:
            case "id":
                return container.identifier.startswith(value)
            case "name":
                return value.removeprefix("/") in config.name
            case "status":
                return state.status == value
            case "exited":
                return state.status == "exited" and str(state.exit_code) == value
            case "ancestor":
                digest = config.image_id.removeprefix("sha256:")
                return config.image in {value, f"{value}:latest"} or digest.startswith(
                    value.removeprefix("sha256:")
                )
            case _:
                name, given, wanted = value.partition("=")
                labels = _labels(container)
                return name in labels and (not given or labels[name] == wanted)

    return test
