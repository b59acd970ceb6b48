"""``fastlayer build``: docker's flags, honoured or refused by name.

Progress goes to stderr, ``-q`` prints the image's id to stdout, and a RUN's exit code is passed on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from fastlayer.cli.go_flags import GoCommand
from fastlayer.errors import ContextError, FastlayerError, RunFailedError, UsageError

if TYPE_CHECKING:
    from fastlayer.builder import BuildArguments, BuildResult, RunSettings

UNSUPPORTED = {
    "--allow": "",
    "--annotation": "",
    "--attest": "",
    "--build-context": "make it a stage of the Dockerfile",
    "--builder": "there is one builder: this process",
    "--cache-from": "the cache is the store's own",
    "--cache-to": "the cache is the store's own",
    "--call": "",
    "--cgroup-parent": "",
    "--cpu-period": "",
    "--cpu-quota": "",
    "--cpu-shares": "",
    "--cpuset-cpus": "",
    "--cpuset-mems": "",
    "--isolation": "",
    "--memory": "",
    "--memory-swap": "",
    "--metadata-file": "--iidfile writes the image's id",
    "--no-cache-filter": "--no-cache runs every step",
    "--policy": "",
    "--security-opt": "",
    "--source-date-epoch": "",
    "--ssh": "",
    "--volume": "use RUN --mount=type=cache or bind in the Dockerfile",
}
"""Flags of docker's build that take a value and are refused, each with what to do instead."""

UNSUPPORTED_SWITCHES = {
    "--check": "",
    "--compress": "a local build sends no context",
    "--pull": "fastlayer load the newer base image first",
    "--push": "write an archive with -o type=oci,dest=FILE, and push that",
    "--squash": "",
}
"""The same without a value."""

_Function = TypeVar("_Function", bound=Callable[..., object])


def _refuse(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value in (None, (), False) or context.resilient_parsing:
        return
    flag = parameter.opts[0]
    hint = {**UNSUPPORTED, **UNSUPPORTED_SWITCHES}[flag]
    raise UsageError(f"build {flag} is not supported", hint=hint or None)


def _refused(function: _Function) -> _Function:
    """Add the refused flags, hidden, so that each is refused by its name."""
    short = {"--memory": ("-m",), "--volume": ("-v",)}
    for flag in UNSUPPORTED:
        names = (flag, *short.get(flag, ()))
        function = click.option(
            *names, multiple=True, hidden=True, expose_value=False, callback=_refuse
        )(function)
    for flag in UNSUPPORTED_SWITCHES:
        function = click.option(
            flag, is_flag=True, hidden=True, expose_value=False, callback=_refuse
        )(function)
    return function


def _only_false(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and value.lower() not in {"false", "0", "disabled"}:
        raise UsageError(
            f"build {parameter.opts[0]}={value} is not supported",
            hint=f"leave it out, or give {parameter.opts[0]}=false",
        )


@click.command("build", cls=GoCommand, short_help="Build an image from a Dockerfile")
@click.argument("context", metavar="PATH|-")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME", help="Name of the image.")
@click.option("-f", "--file", "file", metavar="FILE", help="The Dockerfile, or - for stdin.")
@click.option("--build-arg", "build_args", multiple=True, metavar="K[=V]", help="Value of an ARG.")
@click.option("--target", default="", metavar="STAGE", help="The stage to build.")
@click.option("--no-cache", is_flag=True, help="Run every step.")
@click.option(
    "--cache-mode",
    type=click.Choice(["content", "strict"]),
    default="content",
    help="Whether steps depend on the content below them, or on its very layers.",
)
@click.option(
    "--network",
    type=click.Choice(["default", "host", "none"]),
    default="default",
    help="Network of RUN.",
)
@click.option("--platform", metavar="OS/ARCH", help="Platform of the image.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label of the image.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="id=…,src=FILE|env=NAME", help="A secret."
)
@click.option("--add-host", "hosts", multiple=True, metavar="NAME:IP", help="A host of RUN.")
@click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm in RUN.")
@click.option("--ulimit", "ulimits", multiple=True, metavar="N=S[:H]", help="A limit of RUN.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="SPEC", help="Other outputs.")
@click.option("--iidfile", metavar="FILE", help="Write the image's id to a file.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's id only.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "tty", "rawjson", "quiet", "none"]),
    default=None,
    help="How progress is shown.",
)
@click.option("--load", is_flag=True, hidden=True, expose_value=False)
@click.option("--rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--force-rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--provenance", hidden=True, expose_value=False, callback=_only_false)
@click.option("--sbom", hidden=True, expose_value=False, callback=_only_false)
@_refused
@click.pass_context
def command(
    ctx: click.Context,
    context: str,
    tags: tuple[str, ...],
    file: str | None,
    build_args: tuple[str, ...],
    target: str,
    no_cache: bool,
    cache_mode: str,
    network: str,
    platform: str | None,
    labels: tuple[str, ...],
    secrets: tuple[str, ...],
    hosts: tuple[str, ...],
    shm_size: str | None,
    ulimits: tuple[str, ...],
    outputs: tuple[str, ...],
    iidfile: str | None,
    quiet: bool,
    progress: str | None,
) -> None:
    """Build an image from a Dockerfile.

    PATH is the directory that COPY and ADD take from; - reads a Dockerfile from stdin and has no
    files.
    """
    if os.environ.get("SOURCE_DATE_EPOCH"):
        raise UsageError(
            "SOURCE_DATE_EPOCH is set, and clamping times to it is not supported",
            hint="unset SOURCE_DATE_EPOCH",
        )
    mode = "quiet" if quiet else progress or os.environ.get("BUILDKIT_PROGRESS") or "auto"
    directory, dockerfile = _sources(context, file)
    arguments: BuildArguments = {
        "tags": tags,
        "dockerfile": dockerfile,
        "build_args": _pairs(build_args, os.environ),
        "target": target,
        "network": network,
        "no_cache": no_cache,
        "strict_cache": cache_mode == "strict",
        "platform": platform,
        "labels": _pairs(labels, {}),
        "secrets": _read_secrets(secrets),
        "outputs": outputs,
    }
    if hosts or shm_size or ulimits:
        arguments["run"] = _run_settings(hosts, shm_size, ulimits)
    result = _build(ctx, directory, mode, arguments)
    _tell(result, iidfile, quiet=quiet)


def _build(
    ctx: click.Context, directory: str | None, mode: str, arguments: BuildArguments
) -> BuildResult:
    """Build, with progress on stderr; where nothing was shown, a failed RUN's output is."""
    from fastlayer.builder import build
    from fastlayer.cli.location import open_store
    from fastlayer.progress import renderer

    shown = renderer(mode, sys.stderr, os.environ)
    try:
        return build(directory, store=open_store(ctx), progress=shown, **arguments)
    except RunFailedError as error:
        if mode in {"quiet", "none"}:
            sys.stderr.write(error.output.decode("utf-8", "replace"))
        raise
    finally:
        shown.close()


def _run_settings(
    hosts: tuple[str, ...], shm_size: str | None, ulimits: tuple[str, ...]
) -> RunSettings:
    from fastlayer.builder import RunSettings
    from fastlayer.cli.container_request import read_size, read_ulimits
    from fastlayer.container.network import parse_extra_host

    return RunSettings(
        extra_hosts=tuple(parse_extra_host(text) for text in hosts),
        shm_size=read_size(shm_size, "--shm-size") if shm_size else None,
        ulimits=read_ulimits(ulimits),
    )


def _tell(result: BuildResult, iidfile: str | None, *, quiet: bool) -> None:
    if iidfile is not None:
        try:
            with open(iidfile, "w", encoding="ascii") as stream:
                stream.write(result.config_digest)
        except OSError as error:
            raise FastlayerError(f"--iidfile {iidfile}: {error.strerror}") from error
    if quiet and result.image_id is not None:
        click.echo(result.image_id)


def _sources(context: str, file: str | None) -> tuple[str | None, str | bytes | None]:
    """The context directory and the Dockerfile that the arguments name."""
    if context != "-":
        return context, sys.stdin.buffer.read() if file == "-" else file
    if file is not None:
        raise ContextError(
            "a context on standard input is not supported",
            hint="unpack the archive, and give the directory",
        )
    data = sys.stdin.buffer.read()
    if _is_archive(data):
        raise ContextError(
            "an archive on standard input is not supported as a context",
            hint="unpack it, and give the directory",
        )
    return None, data


def _is_archive(data: bytes) -> bool:
    heads = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
    return data.startswith(heads) or data[257:262] == b"ustar"


def _pairs(texts: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``K=V`` texts; a ``K`` alone is looked up, and left out where it is not set."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key:
            raise UsageError(f"{text!r} has no name in front of the =")
        if equals:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    return found


def _read_secrets(texts: Sequence[str]) -> dict[str, bytes]:
    """Secrets by id, from files and variables."""
    found = {}
    for text in texts:
        fields = dict(field.partition("=")[::2] for field in text.split(","))
        kind = fields.pop("type", "")
        identity = fields.pop("id", "")
        path = fields.pop("src", "") or fields.pop("source", "")
        variable = fields.pop("env", "")
        if not identity or fields or kind not in {"", "file", "env"}:
            raise UsageError(
                f"--secret {text} is not understood", hint="write id=NAME,src=FILE or ,env=NAME"
            )
        if variable or (not path and (kind == "env" or identity in os.environ)):
            name = variable or identity
            if name not in os.environ:
                raise UsageError(f"--secret {text}: the variable {name} is not set")
            found[identity] = os.environb[os.fsencode(name)]
            continue
        try:
            with open(path or identity, "rb") as stream:
                found[identity] = stream.read()
        except OSError as error:
            raise UsageError(f"--secret {text}: {path or identity}: {error.strerror}") from error
    return found
