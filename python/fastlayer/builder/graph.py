"""A build as an immutable graph: stages, and in each the steps in order, all words expanded.

A plan says everything about the target but what depends on running: which layers come out. Stages
refer to each other by their index in the Dockerfile, always to an earlier one. Pure values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastlayer.dockerfile import Mount
from fastlayer.oci.config import ImageConfig, RuntimeConfig
from fastlayer.oci.platform import Platform
from fastlayer.value import Value

if TYPE_CHECKING:
    from fastlayer.transport.git import GitSource


class Place(Value, kw_only=False):
    """Where an instruction stands; ``file`` as the user named it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class BaseImage(Value, kw_only=False):
    """An image of the store that a stage starts from or copies from."""

    name: str
    """As written in the Dockerfile."""
    reference: str
    """In full: ``docker.io/library/debian:bookworm``."""
    config: ImageConfig

    @property
    def chain(self) -> tuple[str, ...]:
        """Its layers, the lowest first."""
        return self.config.diff_ids


class FromContext(Value, kw_only=False):
    """Files of the build context, or of a further one."""

    name: str = ""
    """Which one (``--build-context``); empty is the build's own."""


class FromStage(Value, kw_only=False):
    """The tree of an earlier stage."""

    index: int


class FromImage(Value, kw_only=False):
    """The tree of an image."""

    image: BaseImage


Origin = FromContext | FromStage | FromImage


class ConfigStep(Value):
    """An instruction that changes the config alone; its change is in the stage's config already."""

    created_by: str


class LayerStep(Value):
    """What the steps that make a layer have in common."""

    place: Place
    instruction: str
    """The instruction as written, on one line."""
    name: str
    """As it is shown: ``[build 2/3] RUN make``."""
    created_by: str


class WorkdirStep(LayerStep):
    """WORKDIR other than ``/``: the directory is made where it is missing."""

    path: str
    user: str
    """Who owns what is made: the USER in force."""


class Fetch(Value):
    """A source of ADD that comes from the network."""

    position: int
    """How many other sources stand before it."""
    url: str
    """As written; without what ``git`` says where that is set."""
    git: GitSource | None = None
    checksum: str = ""
    keep_git: bool = False
    unpack: bool = False


class FileStep(LayerStep):
    """COPY or ADD."""

    sources: tuple[str, ...]
    contents: tuple[tuple[str, bytes], ...]
    """Heredocs: file name and content."""
    fetches: tuple[Fetch, ...] = ()
    destination: str
    """Absolute; a slash at its end means that it is a directory."""
    origin: Origin
    chown: str = ""
    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool = False
    link: bool = False


class PlannedMount(Value, kw_only=False):
    """A ``RUN --mount`` and, where it takes files from somewhere, from where."""

    mount: Mount
    target: str
    """Absolute; empty where a secret is wanted as a variable only."""
    origin: Origin | None
    """``None`` where it takes no files."""


class Script(Value, kw_only=False):
    """A heredoc with ``#!``: a file that is mounted into the step and run."""

    name: str
    content: bytes


class RunStep(LayerStep):
    """RUN."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    """ENV and the ARGs in force, in order."""
    hidden_environment: tuple[tuple[str, str], ...]
    """Proxy settings that are not declared: seen by the process, not by the cache."""
    working_directory: str
    user: str
    network: str
    platform: Platform
    mounts: tuple[PlannedMount, ...] = ()
    script: Script | None = None
    insecure: bool = False
    """Whether its process may do everything (``--security=insecure``)."""


Step = ConfigStep | WorkdirStep | FileStep | RunStep


class PlannedStage(Value):
    """A stage: what it starts from, what it does, and the config it ends with."""

    index: int
    name: str
    """Its name, or ``stage-N``."""
    place: Place
    base: BaseImage | FromStage | None
    """``None`` is scratch."""
    base_text: str
    """The FROM as it is shown where the base is an image:
    ``[build 1/3] FROM docker.io/library/debian:bookworm``."""
    steps: tuple[Step, ...]
    config: ImageConfig
    """Platform, author and runtime section as they end; layers and history are left empty."""

    @property
    def runtime(self) -> RuntimeConfig:
        """The section that containers start from."""
        return self.config.config

    def dependencies(self) -> frozenset[int]:
        """The stages it needs."""
        found = {self.base.index} if isinstance(self.base, FromStage) else set()
        for step in self.steps:
            found |= step_dependencies(step)
        return frozenset(found)


class Plan(Value):
    """The stages that the target needs, by index, and which one is the target."""

    file: str
    stages: Mapping[int, PlannedStage]
    target: int
    warnings: tuple[tuple[str, int], ...] = ()
    """Text and line (0: none)."""
    epoch: int | None = None
    """Seconds since 1970; no time of the image's own is later."""

    def order(self) -> list[PlannedStage]:
        """The stages so that each comes after those it needs."""
        return [self.stages[index] for index in sorted(self.stages)]


def step_dependencies(step: Step) -> frozenset[int]:
    """The stages that a step takes files from."""
    if isinstance(step, FileStep):
        origins: tuple[Origin | None, ...] = (step.origin,)
    elif isinstance(step, RunStep):
        origins = tuple(mount.origin for mount in step.mounts)
    else:
        origins = ()
    return frozenset(origin.index for origin in origins if isinstance(origin, FromStage))
