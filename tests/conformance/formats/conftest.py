"""A store that the command has made, with something of every format in it."""

from __future__ import annotations

import pytest

from tests.conformance.formats.sample import Sample, make_sample, make_small


@pytest.fixture(scope="package")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The store; tests read it and leave it as it is."""
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A store with little in it; tests take copies of it."""
    return make_small(tmp_path_factory.mktemp("small"))
