"""The registry of containers while others remove them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from fastlayer.container.config import ContainerConfig
from fastlayer.container.registry import Container
from fastlayer.errors import ContainerNotFoundError


class _Config:
    name = "gone"
    document: ClassVar[dict[str, object]] = {"rootfs": {"diff_ids": ["sha256:" + "1" * 64]}}


def test_a_container_that_was_removed_meanwhile_needs_nothing(tmp_path: Path) -> None:
    """A prune had read its configuration, and failed when its state was gone."""
    config: ContainerConfig = _Config()  # type: ignore[assignment]
    container = Container(tmp_path / "gone", config)
    with pytest.raises(ContainerNotFoundError):
        container.chain()
    assert container.layers_needed() == ()
    assert not container.is_running()
