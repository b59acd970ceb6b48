"""Build checks: what a Dockerfile may do but should not, as ``docker build --check`` finds it.

::

    check(dockerfile, facts=Facts(), options=None) -> Result  # findings, error

Each check is a pure function from a :class:`~fastlayer.dockerfile.lint.walk.Walk` to findings;
:data:`CHECKS` lists them. Not imported with the package: a build that asks for no checks does not
pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastlayer.dockerfile.dockerfile import Dockerfile
from fastlayer.dockerfile.lint import base_checks, stage_checks, text_checks
from fastlayer.dockerfile.lint.facts import BaseImage, Facts
from fastlayer.dockerfile.lint.options import CheckOptions, parse_check_options
from fastlayer.dockerfile.lint.rules import RULES, Finding, Rule
from fastlayer.dockerfile.lint.walk import Walk, walk
from fastlayer.dockerfile.value import Value
from fastlayer.errors import DockerfileError

#: Every check; together they cover all of :data:`RULES`.
CHECKS: tuple[Callable[[Walk], Iterator[Finding]], ...] = (
    text_checks.empty_continuations,
    text_checks.instruction_casing,
    text_checks.stage_name_casing,
    text_checks.from_as_casing,
    text_checks.stage_names,
    text_checks.maintainer,
    text_checks.descriptions,
    base_checks.undeclared_arguments,
    base_checks.default_arguments,
    base_checks.redundant_platforms,
    base_checks.constant_platforms,
    base_checks.base_platforms,
    stage_checks.undefined_variables,
    stage_checks.relative_workdirs,
    stage_checks.shell_forms,
    stage_checks.repeated_instructions,
    stage_checks.legacy_pairs,
    stage_checks.secrets,
    stage_checks.ports,
    stage_checks.ignored_files,
)


class Result(Value):
    """What the checks found, by line.

    ``error`` is what a build would fail with, ``None`` where the checks know of nothing;
    ``fails`` is whether the options make findings an error.
    """

    findings: tuple[Finding, ...]
    error: DockerfileError | None
    fails: bool


def check(
    dockerfile: Dockerfile, facts: Facts | None = None, options: CheckOptions | None = None
) -> Result:
    """Run all checks that the options want.

    Parameters
    ----------
    dockerfile:
        The parsed file.
    facts:
        What the text does not say.
    options:
        Which checks run; those of the file's ``# check=`` where not given.

    Raises
    ------
    DockerfileError
        The file's ``# check=`` cannot be read.
    """
    if options is None:
        options = parse_check_options(dockerfile.directives.check or "", file=dockerfile.file)
    walked = walk(dockerfile, facts or Facts())
    findings = [finding for each in CHECKS for finding in each(walked) if options.wants(finding)]
    findings.sort(key=lambda finding: (finding.span.first, finding.rule.name, finding.message))
    return Result(
        findings=tuple(findings),
        error=walked.error,
        fails=options.error and bool(findings),
    )


__all__ = [
    "CHECKS",
    "RULES",
    "BaseImage",
    "CheckOptions",
    "Facts",
    "Finding",
    "Result",
    "Rule",
    "check",
    "parse_check_options",
]
