"""Building images: plans of steps from Dockerfiles, carried out on the store with a layer cache.

``build`` is the front door. ``plan`` is pure; ``steps`` has the families of instructions;
``executor`` runs them side by side. Nothing here prints or knows a command line.
"""

from __future__ import annotations

from fastlayer.builder.job import BuildArguments, build, check, read_dockerfile
from fastlayer.builder.options import RunSettings
from fastlayer.builder.output import Output, parse_output
from fastlayer.builder.result import BuildResult, StepResult

__all__ = [
    "BuildArguments",
    "BuildResult",
    "Output",
    "RunSettings",
    "StepResult",
    "build",
    "check",
    "parse_output",
    "read_dockerfile",
]
