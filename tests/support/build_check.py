"""One case, from its files to the differences that nothing explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.build_case import PreparedCase
from tests.support.build_pair import BuildPair
from tests.support.build_verdicts import Verdicts
from tests.support.engine_rewrites import rewrite_of
from tests.support.stand_ins import StandIn


def unexplained(
    prepared: PreparedCase,
    pair: BuildPair,
    bases: Sequence[StandIn],
    verdicts: Verdicts,
    folder: Path,
) -> list[str]:
    """Build a case with both and give the differences that no verdict explains.

    Parameters
    ----------
    prepared:
        The case, laid out.
    pair:
        The builders.
    bases:
        The base images there are; those that the case names are loaded.
    verdicts:
        What is known.
    folder:
        Where to write.
    """
    case = prepared.case
    dockerfile = prepared.dockerfile.read_bytes()
    for base in bases:
        if base.is_named_in(dockerfile.decode() + " ".join(case.arguments.values())):
            pair.need(base)
    ours = pair.build_with_fastlayer(prepared)
    rewrite = rewrite_of(case.id, dockerfile)
    if rewrite is not None:
        path = rewrite.write(folder / "rewritten", prepared.context)
        prepared = replace(prepared, rewritten=path)
    docker = pair.build_with_docker(prepared)
    return verdicts.unexplained(case.id, pair.compare(docker, ours, prepared))
