"""buildah's conformance cases, read from the test data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.support.base import BUSYBOX
from tests.support.build_case import BuildCase
from tests.support.requirements import corpus


def buildah_cases() -> list[BuildCase]:
    """All cases in their order."""
    folder = corpus("buildah-conformance")
    document = json.loads((folder / "CASES.json").read_text())
    return [_case(folder, value) for value in document["cases"]]


def _case(folder: Path, value: dict[str, Any]) -> BuildCase:
    dockerfile = value.get("dockerfile", "Dockerfile")
    text = value.get("dockerfile_contents")
    home = folder / "testdata" / value.get("context_dir", "")
    context: Path | tuple[Path, ...] = home if "context_dir" in value else ()
    if "prepared_context" in value:
        context = folder / value["prepared_context"]
    if text is None and context != home:
        text = (home / dockerfile).read_text()
    return BuildCase(
        id=value["id"],
        name=value["name"],
        context=context,
        dockerfile=dockerfile,
        text=text.encode() if text is not None else None,
        arguments=value.get("build_args", {}),
        fails="should_fail_at" in value,
        line=value.get("should_fail_at", 0),
        classic="compat_layer_omissions" in value,
    )


def complete(case: BuildCase, context: Path) -> None:
    """Add what the test data leaves out because it is a program: a static ``true``."""
    if case.name.startswith("mount-targets"):
        shutil.copyfile(BUSYBOX, context / "true")
        (context / "true").chmod(0o755)
