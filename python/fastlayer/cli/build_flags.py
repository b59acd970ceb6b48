"""The flags of ``fastlayer build``: docker's, honoured or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from fastlayer.errors import UsageError
from fastlayer.value import Value

UNSUPPORTED = {
    "--attest": "",
    "--builder": "there is one builder: this process",
    "--cache-from": "the cache is the store's own",
    "--cache-to": "the cache is the store's own",
    "--cgroup-parent": "",
    "--cpu-period": "",
    "--cpu-quota": "",
    "--cpu-shares": "",
    "--cpuset-cpus": "",
    "--cpuset-mems": "",
    "--isolation": "",
    "--memory": "",
    "--memory-swap": "",
    "--policy": "",
    "--security-opt": "",
    "--volume": "use RUN --mount=type=cache or bind in the Dockerfile",
}
"""Flags of docker's build that take a value and are refused, each with what to do instead."""

UNSUPPORTED_SWITCHES = {
    "--compress": "a local build sends no context",
    "--pull": "base images come from the store alone: fastlayer load the newer one first",
    "--push": "write an archive with -o type=oci,dest=FILE, and push that",
}
"""The same without a value."""

Function = TypeVar("Function", bound=Callable[..., object])


class BuildFlags(Value):
    """The values of the flags, as click gives them."""

    tags: tuple[str, ...]
    file: str | None
    build_args: tuple[str, ...]
    build_contexts: tuple[str, ...]
    target: str
    no_cache: bool
    no_gc: bool
    no_cache_filter: tuple[str, ...]
    cache_mode: str
    network: str
    platform: str | None
    labels: tuple[str, ...]
    annotations: tuple[str, ...]
    secrets: tuple[str, ...]
    ssh: tuple[str, ...]
    allow: tuple[str, ...]
    hosts: tuple[str, ...]
    shm_size: str | None
    ulimits: tuple[str, ...]
    outputs: tuple[str, ...]
    squash: bool
    source_date_epoch: str | None
    iidfile: str | None
    metadata_file: str | None
    quiet: bool
    progress: str | None
    check: bool
    call: str
    explain: bool
    debug_shell: bool


def _only_false(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and value.lower() not in {"false", "0", "disabled"}:
        raise UsageError(
            f"build {parameter.opts[0]}={value} is not supported",
            hint=f"leave it out, or give {parameter.opts[0]}=false",
        )


def _refuse(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value in (None, (), False) or context.resilient_parsing:
        return
    flag = parameter.opts[0]
    hint = {**UNSUPPORTED, **UNSUPPORTED_SWITCHES}[flag]
    raise UsageError(f"build {flag} is not supported", hint=hint or None)


def _several(flag: str, name: str, metavar: str, text: str) -> Callable[[Function], Function]:
    return click.option(*flag.split(), name, multiple=True, metavar=metavar, help=text)


_OPTIONS = (
    _several("-t --tag", "tags", "NAME", "Name of the image."),
    click.option("-f", "--file", "file", metavar="FILE", help="The Dockerfile, or - for stdin."),
    _several("--build-arg", "build_args", "K[=V]", "Value of an ARG."),
    _several("--build-context", "build_contexts", "NAME=PLACE", "A further context, or an image."),
    click.option("--target", default="", metavar="STAGE", help="The stage to build."),
    click.option("--no-cache", is_flag=True, help="Run every step."),
    click.option("--no-gc", is_flag=True, help="Do not bring the cache back to its budget."),
    _several("--no-cache-filter", "no_cache_filter", "STAGE", "Run every step of a stage."),
    click.option(
        "--cache-mode",
        type=click.Choice(["content", "strict"]),
        default="content",
        help="Whether steps depend on the content below them, or on its very layers.",
    ),
    click.option(
        "--network",
        type=click.Choice(["default", "host", "none"]),
        default="default",
        help="Network of RUN.",
    ),
    click.option("--platform", metavar="OS/ARCH", help="Platform of the image."),
    _several("--label", "labels", "K=V", "Label of the image."),
    _several("--annotation", "annotations", "K=V", "Annotation of the manifest (-o type=oci)."),
    _several("--secret", "secrets", "id=…,src=FILE|env=NAME", "A secret."),
    _several("--ssh", "ssh", "ID[=SOCKET|KEY,…]", "An SSH agent for RUN --mount=type=ssh."),
    _several("--allow", "allow", "ENTITLEMENT", "Allow security.insecure."),
    _several("--add-host", "hosts", "NAME:IP", "A host of RUN."),
    click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm in RUN."),
    _several("--ulimit", "ulimits", "N=S[:H]", "A limit of RUN."),
    _several("-o --output", "outputs", "SPEC", "Other outputs."),
    click.option("--squash", is_flag=True, help="Make one layer of all that is built."),
    click.option(
        "--source-date-epoch", metavar="SECONDS|context", help="No time in the image is later."
    ),
    click.option("--iidfile", metavar="FILE", help="Write the image's id to a file."),
    click.option("--metadata-file", metavar="FILE", help="Write what was made to a file, as JSON."),
    click.option("-q", "--quiet", is_flag=True, help="Print the image's id only."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "tty", "rawjson", "quiet", "none"]),
        default=None,
        help="How progress is shown.",
    ),
    click.option("--check", is_flag=True, help="Check the Dockerfile only."),
    click.option(
        "--call",
        default="build",
        metavar="NAME",
        help="build, check, outline or targets; ,format=json prints JSON.",
    ),
    click.option("--explain", is_flag=True, help="Tell at the end why each step ran."),
    click.option("--debug-shell", is_flag=True, help="Open a shell in what a failed RUN left."),
)
_HOLDING = (
    *(
        click.option(flag, is_flag=True, hidden=True, expose_value=False)
        for flag in ("--load", "--rm", "--force-rm")
    ),
    *(
        click.option(flag, hidden=True, expose_value=False, callback=_only_false)
        for flag in ("--provenance", "--sbom")
    ),
)
"""Accepted, for their effect already holds."""


def flags(function: Function) -> Function:
    """Give a command all flags of a build; the refused ones are hidden."""
    for option in reversed((*_OPTIONS, *_HOLDING)):
        function = option(function)
    short = {"--memory": ("-m",), "--volume": ("-v",)}
    for flag in UNSUPPORTED:
        function = click.option(
            flag,
            *short.get(flag, ()),
            multiple=True,
            hidden=True,
            expose_value=False,
            callback=_refuse,
        )(function)
    for flag in UNSUPPORTED_SWITCHES:
        function = click.option(
            flag, is_flag=True, hidden=True, expose_value=False, callback=_refuse
        )(function)
    return function
