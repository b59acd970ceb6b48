"""WORKDIR: sets the working directory, and makes it where it is missing.

What is made belongs to the USER in force. As with docker, each WORKDIR other than ``/`` is a layer,
an empty one where there was nothing to make.
"""

from __future__ import annotations

import time

from fastlayer.builder.graph import ConfigStep, Place, WorkdirStep
from fastlayer.builder.state import StageState, clean_path
from fastlayer.builder.workplace import Performed, Prepared, Workplace
from fastlayer.cache.keys import KeyParts
from fastlayer.dockerfile import Workdir
from fastlayer.oci import created_by, mutate
from fastlayer.value import replace

MODE = 0o755
"""Mode of a directory that is made."""


def plan(instruction: Workdir, written: str, state: StageState, place: Place) -> None:
    """Set the working directory, and plan to make it.

    Parameters
    ----------
    instruction:
        The instruction, expanded.
    written:
        Its text as it stands in the Dockerfile.
    state:
        The stage.
    place:
        Where the instruction stands.
    """
    path = clean_path(f"{state.working_directory}/{instruction.path}")
    if instruction.path.startswith("/"):
        path = clean_path(instruction.path)
    state.config = mutate.with_runtime(state.config, replace(state.runtime, working_dir=path))
    text = created_by.workdir(path)
    if path == "/":
        state.steps.append(ConfigStep(created_by=text))
        return
    state.steps.append(
        WorkdirStep(
            place=place,
            instruction=written,
            name=f"WORKDIR {path}",
            created_by=text,
            path=path,
            user=state.runtime.user,
        )
    )


def prepare(step: WorkdirStep, chain: tuple[str, ...], tree: str, workplace: Workplace) -> Prepared:
    """Key the step on a chain whose tree id is ``tree``.

    Raises
    ------
    BuildError
        There is something to make, and the user that it is for does not exist.
    """
    path = step.path.lstrip("/").encode("utf-8", "surrogateescape")
    owner = (0, 0)
    if step.user and not _is_directory(chain, path, workplace):
        owner = workplace.owner(step.user, chain, step.place)

    parts = KeyParts(tree, ("WORKDIR", step.path, f"{owner[0]}:{owner[1]}"), (), ())

    def perform() -> Performed:
        made = workplace.store.directory_layer(
            chain,
            path,
            owner=owner,
            mode=MODE,
            mtime=int(time.time()),
        )
        layer = made if made is not None else workplace.store.empty_layer()
        return Performed(layer, parts)

    return Prepared(parts, perform)


def _is_directory(chain: tuple[str, ...], path: bytes, workplace: Workplace) -> bool:
    found = workplace.store.stat(chain, path) if chain else None
    return found is not None and found.kind == "directory"
