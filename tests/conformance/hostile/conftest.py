"""Fixtures of hostile input."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.store import Store

from tests.support.canary import Canary, make_canary
from tests.support.command import Command
from tests.support.layers import Layers
from tests.support.requirements import need_core, need_root


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """A tree of the host that must stay as it is."""
    need_root()  # only root could do all the harm
    return make_canary(tmp_path / "canary")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command on a new store."""
    need_core()
    return Command(tmp_path / "store")


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    """The same store, as its library."""
    need_core()
    return Layers(Store(tmp_path / "store"))
