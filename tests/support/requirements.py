"""What a test needs from the machine, and what happens when it is not there.

Each function returns the thing asked for. Where it is missing the test is skipped with the reason
in plain words; where the environment variable ``CI`` is set the test fails instead, so that nothing
is left out unseen. Call them inside a test or a fixture, or at import time of a test module (they
then skip the whole module).
"""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def missing(reason: str) -> NoReturn:
    """Skip the running test, or fail it where ``CI`` is set.

    Parameters
    ----------
    reason:
        What is missing, in plain words.
    """
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set: nothing may be skipped)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def corpus(part: str = "") -> Path:
    """The folder of real-world test data, or the given part of it.

    ``$FASTLAYER_CORPUS`` names the folder; without it, it is ``../shared/corpus`` beside the
    repository.

    Parameters
    ----------
    part:
        A path below the folder which must exist too.
    """
    named = os.environ.get("FASTLAYER_CORPUS")
    root = Path(named) if named else REPOSITORY.parent / "shared" / "corpus"
    if not (root / part).exists():
        missing(f"no test data at {root / part}: set FASTLAYER_CORPUS")
    return root / part


def need_root() -> None:
    """The test works as root only."""
    if os.geteuid() != 0:
        missing("needs root")


def need_program(name: str) -> str:
    """The full path of a program which must be on ``PATH``."""
    found = shutil.which(name)
    if found is None:
        missing(f"needs the program {name}")
    return found


def need_core() -> ModuleType:
    """The compiled module ``fastlayer._core``."""
    try:
        return importlib.import_module("fastlayer._core")
    except ImportError as error:
        missing(f"needs the compiled module fastlayer._core: {error}")
