"""Plans of Dockerfiles in tests: base images without a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastlayer.builder.graph import BaseImage, ConfigStep, LayerStep, Plan, PlannedStage, RunStep
from fastlayer.builder.options import BuildOptions
from fastlayer.builder.plan import make_plan
from fastlayer.dockerfile import parse
from fastlayer.errors import ImageNotFoundError
from fastlayer.oci.config import ImageConfig, RuntimeConfig
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.platform import Platform, host_platform
from fastlayer.oci.reference import parse_reference

DEBIAN = ImageConfig(
    architecture=host_platform().architecture,
    os="linux",
    config=RuntimeConfig(env=("PATH=/bin", "BASE=yes"), cmd=("bash",)),
    diff_ids=("sha256:base",),
    history=(HistoryEntry(created="2020-01-01T00:00:00Z", created_by="base"),),
)


class Images:
    """Finds images by name, and remembers what was asked for."""

    def __init__(self, images: Mapping[str, ImageConfig]) -> None:
        self.images = dict(images)
        self.asked: list[str] = []

    def __call__(self, name: str, platform: Platform) -> BaseImage:
        self.asked.append(name)
        if name not in self.images:
            raise ImageNotFoundError(f"no such image: {name}")
        reference = parse_reference(name).with_default_tag().canonical
        return BaseImage(name, reference, self.images[name])


def plan(text: str, *, images: Images | None = None, **options: Any) -> Plan:
    """The plan of a Dockerfile; ``debian`` is there as a base."""
    found = images if images is not None else Images({"debian": DEBIAN})
    return make_plan(parse(text.encode(), file="Dockerfile"), BuildOptions(**options), found)


def target(text: str, **options: Any) -> PlannedStage:
    """The target stage of a Dockerfile's plan."""
    made = plan(text, **options)
    return made.stages[made.target]


def names(stage: PlannedStage) -> list[str]:
    """The steps of a stage as they are shown."""
    return [step.name for step in stage.steps if isinstance(step, LayerStep)]


def history(stage: PlannedStage) -> list[str]:
    """What a stage's steps write into the history."""
    return [step.created_by for step in stage.steps if isinstance(step, LayerStep | ConfigStep)]


def last_run(stage: PlannedStage) -> RunStep:
    """The last RUN of a stage."""
    return [step for step in stage.steps if isinstance(step, RunStep)][-1]
