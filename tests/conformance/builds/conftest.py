"""The two builders, for all cases of the package: one engine, one store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.build_pair import BuildPair
from tests.support.command import Command
from tests.support.docker_engine import docker_engine
from tests.support.requirements import need_core, need_program, need_root
from tests.support.web_server import web_server


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildPair]:
    """An engine and a fastlayer store without images."""
    need_root()
    need_core()
    need_program("runc")
    folder = tmp_path_factory.mktemp("builds")
    with docker_engine(folder) as engine:
        yield BuildPair(engine, Command(folder / "store"), folder)


@pytest.fixture(scope="package")
def web() -> Iterator[str]:
    """The address of a web server that stands for the network."""
    with web_server() as address:
        yield address
