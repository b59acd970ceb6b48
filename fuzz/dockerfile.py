#!/usr/bin/env python3
"""Coverage-guided fuzzing of the Dockerfile parser, which is Python: by atheris.

The properties are those that the tests check for the kept corpus
(``tests/support/dockerfile_properties.py``). Arguments are libFuzzer's.
``scripts/fuzz.sh`` runs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "python")]

with atheris.instrument_imports(include=["fastlayer.dockerfile"]):
    from tests.support.dockerfile_properties import check_dockerfile

if __name__ == "__main__":
    atheris.Setup(sys.argv, check_dockerfile)
    atheris.Fuzz()
