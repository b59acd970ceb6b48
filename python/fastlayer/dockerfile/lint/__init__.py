"""Build checks: what a Dockerfile may do but should not, as ``docker build --check`` finds it.

::

    check(dockerfile, facts=None, options=None) -> Result  # findings, error
    check_data(data, file="Dockerfile", facts=None, options=None) -> Result  # bad files too

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
from fastlayer.dockerfile.parsing import parse_partly
from fastlayer.errors import DockerfileError
from fastlayer.value import Value

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


#: Those that also run on the part of a file that stands before an error.
_PARTIAL_CHECKS = CHECKS[:7]


def check_data(
    data: bytes,
    *,
    file: str = "Dockerfile",
    facts: Facts | None = None,
    options: CheckOptions | None = None,
) -> Result:
    """Parse a file and check it; where it is wrong, check what stands before the error.

    Parameters
    ----------
    data, file:
        The file's bytes, and its name for messages.
    facts, options:
        As for :func:`check`.

    Raises
    ------
    DockerfileError
        The file's ``# check=`` cannot be read.
    """
    try:
        dockerfile, error = parse_partly(data, file=file)
    except DockerfileError as raised:
        return Result(findings=(), error=raised, fails=False)
    if error is None:
        return check(dockerfile, facts, options)
    empty = Walk(dockerfile=dockerfile, facts=facts or Facts(), openings=(), visits=(), error=error)
    return _result(empty, _PARTIAL_CHECKS, options)


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
    return _result(walk(dockerfile, facts or Facts()), CHECKS, options)


def _result(
    walked: Walk,
    checks: tuple[Callable[[Walk], Iterator[Finding]], ...],
    options: CheckOptions | None,
) -> Result:
    if options is None:
        dockerfile = walked.dockerfile
        options = parse_check_options(dockerfile.directives.check or "", file=dockerfile.file)
    findings = [finding for each in checks for finding in each(walked) if options.wants(finding)]
    findings.sort(key=lambda finding: (finding.span.first, finding.rule.name, finding.message))
    return Result(
        findings=tuple(findings), error=walked.error, fails=options.error and bool(findings)
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
    "check_data",
    "parse_check_options",
]
