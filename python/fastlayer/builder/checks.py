"""The build checks, told what a build knows: its arguments, its base images, its ignore rules."""

from __future__ import annotations

from fastlayer.builder.context import BuildContext
from fastlayer.builder.options import BuildOptions
from fastlayer.builder.plan import DEFAULT_PATH
from fastlayer.builder.scope import platform_arguments
from fastlayer.dockerfile import Dockerfile
from fastlayer.dockerfile.lint import BaseImage, CheckOptions, Facts, Result, parse_check_options
from fastlayer.dockerfile.lint import check as run_checks
from fastlayer.errors import DockerfileError, FastlayerError
from fastlayer.image.catalog import ImageCatalog
from fastlayer.oci.platform import host_platform, parse_platform

ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that says which checks run, in the place of ``# check=``."""


def check_options(options: BuildOptions) -> CheckOptions | None:
    """Which checks the build's arguments ask for; ``None`` where they say nothing.

    Raises
    ------
    DockerfileError
        They are not understood.
    """
    text = options.build_args.get(ARGUMENT)
    return None if text is None else parse_check_options(text, file=ARGUMENT)


def check_facts(options: BuildOptions, catalog: ImageCatalog, context: BuildContext) -> Facts:
    """What the checks are told."""
    host = host_platform()
    target = options.platform or host

    def base(name: str, platform: str) -> BaseImage | None:
        try:
            image = catalog.find(name, platform=parse_platform(platform) if platform else target)
        except FastlayerError:
            return None
        if image is None:
            return None
        runtime = image.config.config
        return BaseImage(
            environment={"PATH": DEFAULT_PATH, **runtime.environment()},
            has_shell=runtime.shell is not None,
            platform=str(image.platform),
        )

    def is_ignored(path: str) -> bool:
        return context.files.is_ignored(path.encode("utf-8", "surrogateescape"))

    return Facts(
        predefined=platform_arguments(target, host, options.target or "default"),
        given=options.build_args,
        target=options.target,
        base=base,
        ignore_patterns=context.patterns,
        is_ignored=is_ignored if context.patterns else None,
    )


def check_build(
    dockerfile: Dockerfile, options: BuildOptions, catalog: ImageCatalog, context: BuildContext
) -> Result:
    """Check a Dockerfile that is about to be built.

    Raises
    ------
    DockerfileError
        There are findings, and ``error=true`` makes them an error.
    """
    facts = check_facts(options, catalog, context)
    result = run_checks(dockerfile, facts, check_options(options))
    if result.fails:
        names = sorted({finding.rule.name for finding in result.findings})
        first = result.findings[0]
        raise DockerfileError(
            f"lint violation found for rules: {', '.join(names)}",
            hint=f"line {first.span.first}: {first.message}",
            file=dockerfile.file,
            line=first.span.first,
        )
    return result
