"""Fixtures of the integration tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import ways
from tests.support.requirements import need_core

if TYPE_CHECKING:
    from tests.integration.building import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A store with the busybox base, and an empty context."""
    need_core()
    from tests.integration.building import make_workshop

    return make_workshop(tmp_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for a way runs in each that it is for."""
    if "way" in metafunc.fixturenames:
        marks = list(metafunc.definition.iter_markers())
        metafunc.parametrize("way", ways.ways_of(marks), indirect=True)


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How steps run in this test."""
    name = str(request.param)
    ways.choose(name, monkeypatch)
    return name
