"""``fastlayer build``: from its flags to one call of the builder, and what is told afterwards.

Progress goes to stderr, ``-q`` prints the image's id to stdout, and a RUN's exit code is passed on.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fastlayer.cli import build_inputs
from fastlayer.cli.build_call import parse_call
from fastlayer.cli.build_flags import BuildFlags, flags
from fastlayer.cli.docker_settings import proxy_arguments
from fastlayer.cli.go_flags import GoCommand
from fastlayer.errors import FastlayerError, RunFailedError, UsageError

if TYPE_CHECKING:
    from fastlayer.builder import BuildArguments, BuildResult, RunSettings


@click.command("build", cls=GoCommand, short_help="Build an image from a Dockerfile")
@click.argument("context", metavar="PATH|URL|-")
@flags
@click.pass_context
def command(ctx: click.Context, /, context: str, **values: Any) -> None:
    """Build an image from a Dockerfile.

    PATH is the directory that COPY and ADD take from, or the URL of an archive or of a git
    repository; - is an archive, or a Dockerfile alone, on stdin.
    """
    given = BuildFlags(**values)
    mode = "quiet" if given.quiet else given.progress or os.environ.get("BUILDKIT_PROGRESS")
    source, dockerfile = _sources(context, given.file)
    arguments = _arguments(given)
    arguments["dockerfile"] = dockerfile
    call, style = parse_call("check" if given.check else given.call)
    if call != "build":
        ctx.exit(_call(ctx, call, style, source, arguments))
    try:
        result = _build(ctx, source, mode or "auto", arguments)
    except RunFailedError as error:
        if given.debug_shell and error.failed_id:
            _open_shell(ctx, error.failed_id)
        raise
    _tell(result, given)


def _call(
    ctx: click.Context, call: str, style: str, source: str | BinaryIO, arguments: BuildArguments
) -> int:
    """Tell of the Dockerfile what was asked; gives the exit code."""
    from fastlayer.builder import check, read_dockerfile
    from fastlayer.cli import build_call
    from fastlayer.cli.location import open_store
    from fastlayer.dockerfile.outline import outline, targets

    store = open_store(ctx)
    if call == "check":
        return build_call.show_check(check(source, store=store, **arguments), style)
    dockerfile = read_dockerfile(source, store=store, **arguments)
    if call == "targets":
        build_call.show_targets(targets(dockerfile), style)
    else:
        found = outline(dockerfile, arguments["target"], arguments["build_args"])
        build_call.show_outline(found, style)
    return 0


def _arguments(given: BuildFlags) -> BuildArguments:
    arguments: BuildArguments = {
        "tags": given.tags,
        "build_args": {
            **proxy_arguments(os.environ),
            **build_inputs.read_pairs(given.build_args, os.environ),
        },
        "target": given.target,
        "network": given.network,
        "no_cache": given.no_cache,
        "gc": not given.no_gc,
        "no_cache_filter": build_inputs.read_list(given.no_cache_filter),
        "strict_cache": given.cache_mode == "strict",
        "platform": given.platform,
        "labels": build_inputs.read_pairs(given.labels, {}),
        "annotations": build_inputs.read_annotations(given.annotations),
        "secrets": build_inputs.read_secrets(given.secrets),
        "ssh": build_inputs.read_agents(given.ssh),
        "allow": build_inputs.read_allowed(given.allow),
        "contexts": build_inputs.read_contexts(given.build_contexts),
        "outputs": given.outputs,
        "squash": given.squash,
    }
    epoch = given.source_date_epoch or os.environ.get("SOURCE_DATE_EPOCH")
    if epoch and (given.source_date_epoch or "SOURCE_DATE_EPOCH" not in arguments["build_args"]):
        from fastlayer.builder.own_layers import CONTEXT_EPOCH, parse_epoch

        name = "--source-date-epoch" if given.source_date_epoch else "SOURCE_DATE_EPOCH"
        is_context = epoch == CONTEXT_EPOCH
        arguments["source_date_epoch"] = epoch if is_context else parse_epoch(epoch, name)
    if given.hosts or given.shm_size or given.ulimits:
        arguments["run"] = _run_settings(given)
    return arguments


def _build(
    ctx: click.Context, context: str | BinaryIO, mode: str, arguments: BuildArguments
) -> BuildResult:
    """Build, with progress on stderr; where nothing was shown, a failed RUN's output is."""
    from fastlayer.builder import build
    from fastlayer.cli.location import open_store
    from fastlayer.progress import renderer

    shown = renderer(mode, sys.stderr, os.environ)
    try:
        return build(context, store=open_store(ctx), progress=shown, **arguments)
    except RunFailedError as error:
        if mode in {"quiet", "none"}:
            sys.stderr.write(error.output.decode("utf-8", "replace"))
        raise
    finally:
        shown.close()


def _open_shell(ctx: click.Context, failed_id: str) -> None:
    """Run the failed step's shell over what it left, on this terminal, until the user leaves it."""
    import subprocess

    root = () if ctx.obj is None else ("--root", str(ctx.obj))
    terminal = "-it" if sys.stdin.isatty() else "-i"
    click.echo(f"a shell in what the failed step left ({failed_id}):", err=True)
    subprocess.run(
        [sys.executable, "-m", "fastlayer.cli", *root, "run", "--rm", terminal, failed_id],
        check=False,
    )


def _run_settings(given: BuildFlags) -> RunSettings:
    from fastlayer.builder import RunSettings
    from fastlayer.cli.container_request import read_size, read_ulimits
    from fastlayer.container.network import parse_extra_host

    return RunSettings(
        extra_hosts=tuple(parse_extra_host(text) for text in given.hosts),
        shm_size=read_size(given.shm_size, "--shm-size") if given.shm_size else None,
        ulimits=read_ulimits(given.ulimits),
    )


def _tell(result: BuildResult, given: BuildFlags) -> None:
    if given.iidfile is not None:
        _write("--iidfile", given.iidfile, result.config_digest)
    if given.metadata_file is not None:
        text = json.dumps(_metadata(result), indent=2, ensure_ascii=False) + "\n"
        _write("--metadata-file", given.metadata_file, text)
    if given.explain:
        for step in result.steps:
            why = "cached" if step.cached else f"ran, for {step.reason}"
            click.echo(f"line {step.line}: {step.instruction.splitlines()[0]}: {why}", err=True)
    if given.quiet and result.image_id is not None:
        click.echo(result.image_id)


def _metadata(result: BuildResult) -> dict[str, object]:
    """What buildx writes, as far as there is such a thing here, sorted by key."""
    descriptor = result.descriptor
    found: dict[str, object] = {
        "containerimage.config.digest": result.config_digest,
        "containerimage.digest": result.config_digest if descriptor is None else descriptor.digest,
    }
    if descriptor is not None:
        found["containerimage.descriptor"] = descriptor.to_value()
    if result.tags:
        found["image.name"] = ",".join(result.tags)
    if result.warnings:
        found["buildx.build.warnings"] = list(result.warnings)
    return dict(sorted(found.items()))


def _write(flag: str, path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise FastlayerError(f"{flag} {path}: {error.strerror}") from error


def _sources(context: str, file: str | None) -> tuple[str | BinaryIO, str | bytes | None]:
    """The context and the Dockerfile that the arguments name."""
    if context != "-":
        return context, sys.stdin.buffer.read() if file == "-" else file
    if file == "-":
        raise UsageError(
            "the context and the Dockerfile cannot both be on standard input",
            hint="give a directory for the one, or a path for the other",
        )
    return sys.stdin.buffer, file
