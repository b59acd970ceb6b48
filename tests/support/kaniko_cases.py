"""kaniko's integration cases and those that its fork adds, read from the test data.

Every Dockerfile is built with the folder that holds ``context``, ``ignore``, … as its context;
those below ``dockerfiles-with-context`` have one of their own, which the fork's share.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.base import BUSYBOX
from tests.support.build_case import BuildCase
from tests.support.requirements import corpus

CONTEXT_FOLDERS = ("context", "ignore", "ignore_relative")
_SECRETS = {
    "issue_cg188": {"netrc": b"blubb"},
    "issue_mz511": {"netrc": b"foo"},
    "issue_mz661": {"kaniko": b"secret"},
}
_IGNORE = b"ignore/**\n!ignore/foo\n"
"""The ignore file of the two cases that are about one; the test data has it for a third only."""
_CAPITALS = ("from_multistage_capital", "issue_519")
"""Stages with capitals in their names, which only the engine's classic builder takes."""
_PREFIXES = ("Dockerfile_test_", "Dockerfile_")


def kaniko_cases() -> list[BuildCase]:
    """All cases in the order of their names, the fork's last."""
    folder = corpus("kaniko")
    document = json.loads((folder / "CASES.json").read_text())
    fork = document["fork_extra"]
    cases = _cases("kaniko", folder, document)
    both = {key: {**document[key], **fork.get(key, {})} for key in ("build_args", "env", "flags")}
    cases += _cases("fork", folder / "fork-extra", {**document, **both})
    return cases


def _cases(prefix: str, folder: Path, document: Mapping[str, Any]) -> list[BuildCase]:
    cases = []
    for path in sorted((folder / "dockerfiles").iterdir()):
        if path.suffix != ".dockerignore":
            cases.append(_case(prefix, path, document))
    for own in sorted((folder / "dockerfiles-with-context").iterdir()):
        case_id = f"{prefix}-context-{own.name.removeprefix('issue-')}"
        context = corpus("kaniko") / "dockerfiles-with-context" / own.name
        text = (own / "Dockerfile").read_bytes()
        cases.append(BuildCase(case_id, own.name, context if context.exists() else own, text=text))
    return cases


def _case(prefix: str, path: Path, document: Mapping[str, Any]) -> BuildCase:
    name = path.name
    short = name
    for head in _PREFIXES:
        short = short.removeprefix(head)
    given = [text.partition("=") for text in document["build_args"].get(name, [])]
    values = dict(text.partition("=")[::2] for text in document["env"].get(name, []))
    own = path.with_name(f"{name}.dockerignore")
    ignore = own.read_bytes() if own.exists() else b""
    if short in ("dockerignore", "ignore"):
        ignore = _IGNORE
    flags = document["flags"].get(name, [])
    context: Path | tuple[Path, ...] = tuple(corpus("kaniko") / part for part in CONTEXT_FOLDERS)
    if short == "relative_copy":
        context = corpus("kaniko") / "context"
    return BuildCase(
        id=f"{prefix}-{short}",
        name=name,
        context=context,
        text=path.read_bytes(),
        ignore=ignore,
        arguments={key: value if equals else values[key] for key, equals, value in given},
        secrets=_SECRETS.get(short, {}),
        target=next((flag.partition("=")[2] for flag in flags if "--target=" in flag), ""),
        fails=name in document["must_fail"],
        classic=values.get("DOCKER_BUILDKIT") == "0" or short in _CAPITALS,
    )


def complete(case: BuildCase, context: Path) -> None:
    """Add what the test data leaves out: a program, for which any file will do, and a licence."""
    if case.name == "issue-2075":
        shutil.copyfile(BUSYBOX, context / "top1")
    if case.id == "kaniko-git_buildcontext":
        (context / "LICENSE").write_text("the licence in the repository that is the context\n")
