"""Fixtures of the traps."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.store import Store

from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.requirements import need_core


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    """An empty store, as its library."""
    need_core()
    return Layers(Store(tmp_path / "store"))


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The same store, as the command."""
    need_core()
    return Command(tmp_path / "store")
