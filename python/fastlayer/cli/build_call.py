"""``build --check`` and ``--call``: what is told of a Dockerfile, as docker tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from fastlayer.errors import UsageError

if TYPE_CHECKING:
    from fastlayer.builder.result import CheckReport
    from fastlayer.dockerfile.lint import Finding

CALLS = ("build", "check")
"""What ``--call`` takes."""

FORMATS = ("text", "json")

_RULE = "-" * 20


def parse_call(text: str) -> tuple[str, str]:
    """Read ``NAME[,format=FORMAT]``; gives both.

    Raises
    ------
    UsageError
        It is not understood.
    """
    name, _, rest = text.partition(",")
    name = "check" if name == "lint" else name
    key, _, style = rest.partition("=")
    if name not in CALLS:
        raise UsageError(f"--call {text} is not supported", hint=f"one of {', '.join(CALLS)}")
    if rest and (key != "format" or style not in FORMATS):
        raise UsageError(f"--call {text} is not understood", hint=f"write {name},format=json")
    return name, style or "text"


def show_check(report: CheckReport, style: str) -> int:
    """Print what the checks found; gives the exit code."""
    findings, error = report.result.findings, report.result.error
    if style == "json":
        click.echo(json.dumps(_check_document(report), indent=2, ensure_ascii=False))
        return int(bool(findings) or error is not None)
    lines = report.data.decode("utf-8", "replace").split("\n")
    for finding in findings:
        rule = finding.rule
        click.echo(f"WARNING: {rule.name}" + (f" - {rule.url}" if rule.url else ""))
        click.echo(finding.message)
        click.echo(_excerpt(report.file, lines, finding.span.first, finding.span.last))
        click.echo()
    if error is not None:
        raise error
    if not findings:
        click.echo("Check complete, no warnings found.")
        return 0
    several = "warning has" if len(findings) == 1 else "warnings have"
    click.echo(f"Check complete, {len(findings)} {several} been found!")
    return 1


def _check_document(report: CheckReport) -> dict[str, object]:
    error = report.result.error
    document: dict[str, object] = {
        "warnings": [_warning(finding) for finding in report.result.findings],
        "sources": [{"filename": report.file, "data": report.data.decode("utf-8", "replace")}],
    }
    if error is not None:
        told: dict[str, object] = {"message": error.message}
        if error.line:
            told["location"] = _location(error.line, error.line)
        document["buildError"] = told
    return document


def _warning(finding: Finding) -> dict[str, object]:
    rule = finding.rule
    found: dict[str, object] = {"ruleName": rule.name, "description": rule.description}
    if rule.url:
        found["url"] = rule.url
    return {
        **found,
        "detail": finding.message,
        "location": _location(finding.span.first, finding.span.last),
    }


def _location(first: int, last: int) -> dict[str, object]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]}


def _excerpt(file: str, lines: list[str], first: int, last: int) -> str:
    """The lines of a place and some around them, as BuildKit shows them."""
    last = min(last, len(lines))
    start, end = first, last
    room = 4 if first == last else 2
    taken = 0
    while taken < room:
        if start > 1:
            start, taken = start - 1, taken + 1
        if end != len(lines):
            end, taken = end + 1, taken + 1
        taken += 1
    shown = [
        f" {number:3} | {'>>>' if first <= number <= last else '   '} {lines[number - 1]}"
        for number in range(start, end + 1)
    ]
    return "\n".join((f"{file}:{first}", _RULE, *shown, _RULE))
