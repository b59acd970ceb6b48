"""The ways in which a step can run: each driver, over an overlay or in a plain tree.

A module asks for them all with an autouse fixture that takes ``way``; a test that needs what one of
them does not offer says so with :func:`without`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.requirements import need_program, need_root

WAYS = {
    "runc": ("runc", "overlay"),
    "builtin": ("builtin", "overlay"),
    "plain": ("builtin", "plain"),
    "chroot": ("chroot", ""),
}
"""By name: the driver and the workspace, as a user asks for them."""


def without(*names: str) -> pytest.MarkDecorator:
    """Leave ways out, for a test of what they do not offer."""
    assert set(names) <= set(WAYS)
    return pytest.mark.without_ways(names)


def ways_of(marks: Sequence[pytest.Mark]) -> list[str]:
    """The ways that a test with these marks is for."""
    left_out = {name for mark in marks if mark.name == "without_ways" for name in mark.args[0]}
    return [name for name in WAYS if name not in left_out]


def choose(name: str, patch: pytest.MonkeyPatch) -> None:
    """Make fastlayer take a way, here and in its processes."""
    need_root()
    driver, workspace = WAYS[name]
    if driver == "runc":
        need_program("runc")
    patch.setenv("FASTLAYER_RUNTIME", driver)
    patch.setenv("FASTLAYER_WORKSPACE", workspace)
