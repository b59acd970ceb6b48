"""A step that finds the machine's own programs and files: docker's rights around anything."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.requirements import need_core

need_core()

from fastlayer.container.mounts import Mount  # noqa: E402
from fastlayer.container.step import StepRunner, StepSpec  # noqa: E402
from fastlayer.store import Store  # noqa: E402

_STEP_HAS_ITS_OWN = {"proc", "sys", "dev"}


def run_in_step(
    store: Path, arguments: Sequence[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of the machine as a step of a build; ``store`` is for the step alone."""
    folders = sorted(
        path for path in Path("/").iterdir() if path.is_dir() and path.name not in _STEP_HAS_ITS_OWN
    )
    mounts = tuple(Mount("bind", str(path), str(path)) for path in folders)
    variables = os.environ if environment is None else environment
    words = tuple(f"{name}={value}" for name, value in variables.items())
    spec = StepSpec(tuple(arguments), words, mounts=mounts)
    output: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
    with StepRunner(Store(store)) as runner:
        result = runner.run((), spec, lambda stream, data: output[stream].extend(data))
        runner.discard(result)
    return subprocess.CompletedProcess(
        list(arguments), result.exit_code, bytes(output[1]), bytes(output[2])
    )
