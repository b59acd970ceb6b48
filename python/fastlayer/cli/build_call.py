"""``build --check`` and ``--call``: what is told of a Dockerfile, as docker tells it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fastlayer.errors import UsageError

if TYPE_CHECKING:
    from fastlayer.builder.result import CheckReport
    from fastlayer.dockerfile.lint import Finding
    from fastlayer.dockerfile.outline import Outline, Target

CALLS = ("build", "check", "outline", "targets")
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


def show_targets(found: Sequence[Target], style: str) -> None:
    """Print the stages that can be built."""
    if style == "json":
        document = [
            {"name": one.name, "default": one.is_default, "description": one.description}
            for one in found
        ]
        click.echo(json.dumps({"targets": document}, indent=2, ensure_ascii=False))
        return
    rows = [("TARGET", "DESCRIPTION")]
    for one in found:
        default = "(default)" if one.is_default else ""
        rows.append((f"{one.name} {default}".strip(), one.description))
    click.echo(_table(rows))


def show_outline(found: Outline, style: str) -> None:
    """Print what a target takes from outside."""
    if style == "json":
        click.echo(json.dumps(_outline_document(found), indent=2, ensure_ascii=False))
        return
    if found.target.name:
        click.echo(f"TARGET:      {found.target.name}")
    if found.target.description:
        click.echo(f"DESCRIPTION: {found.target.description}")
    parts = []
    if found.arguments:
        rows = [(one.name, one.value, one.description) for one in found.arguments]
        parts.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows]))
    for title, needs in (("SECRET", found.secrets), ("SSH", found.agents)):
        if needs:
            shown = [(one.id, "true" if one.required else "") for one in needs]
            parts.append(_table([(title, "REQUIRED"), *shown]))
    for part in parts:
        click.echo("\n" + part)


def _outline_document(found: Outline) -> dict[str, object]:
    return {
        "name": found.target.name,
        "description": found.target.description,
        "args": [
            {"name": one.name, "value": one.value, "description": one.description}
            for one in found.arguments
        ],
        "secrets": [{"name": one.id, "required": one.required} for one in found.secrets],
        "ssh": [{"name": one.id, "required": one.required} for one in found.agents],
    }


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns with four blanks between them, as docker prints these."""
    widths = [max(map(len, column)) + 4 for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


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
