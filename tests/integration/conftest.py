"""Fixtures of the integration tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import need_core

if TYPE_CHECKING:
    from tests.integration.building import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A store with the busybox base, and an empty context."""
    need_core()
    from tests.integration.building import make_workshop

    return make_workshop(tmp_path)
