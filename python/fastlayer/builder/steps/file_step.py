"""COPY and ADD: files of the context, of a stage or of an image, and heredocs, to a place.

The store copies entries straight into a layer: nothing is mounted or checked out. A key covers what
is copied, not where it came from.
"""

from __future__ import annotations

from collections.abc import Callable

from fastlayer.builder.graph import Fetch, FileStep, FromContext, Origin, Place
from fastlayer.builder.state import StageState
from fastlayer.builder.steps.fetches import fetch_keys, fetched_source, plan_fetches
from fastlayer.builder.transfer import Begin
from fastlayer.builder.workplace import Performed, Prepared, Workplace
from fastlayer.cache.keys import KeyParts
from fastlayer.dockerfile import Add, Copy, Transfer
from fastlayer.oci import created_by
from fastlayer.store import CopyOperation, CopySource

COPYING = "copying"
"""What is said of a copy that takes long."""


def plan(instruction: Copy | Add, written: str, state: StageState, place: Place) -> None:
    """Plan a COPY or ADD.

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

    Raises
    ------
    DockerfileError
        It asks for what is not supported, or for a stage that does not exist.
    """
    sources: tuple[str, ...] = instruction.sources
    fetches: tuple[Fetch, ...] = ()
    if isinstance(instruction, Add):
        sources, fetches = plan_fetches(instruction, place)
    parents = isinstance(instruction, Copy) and instruction.parents
    state.steps.append(
        FileStep(
            place=place,
            instruction=written,
            name=written,
            created_by=created_by.copy(
                instruction.name,
                instruction.sources,
                instruction.destination,
                heredocs=[content.name for content in instruction.contents],
                parents=parents,
                chown=instruction.chown,
                chmod=instruction.chmod,
            ),
            sources=sources,
            fetches=fetches,
            contents=tuple(
                (content.name, content.content.encode("utf-8", "surrogateescape"))
                for content in instruction.contents
            ),
            destination=state.absolute(instruction.destination),
            origin=_origin(instruction, state, place),
            chown=instruction.chown,
            chmod=instruction.chmod,
            exclude=instruction.exclude,
            parents=parents,
            unpack=isinstance(instruction, Add) and instruction.unpack is not False,
            link=instruction.link,
        )
    )


def whole_context(origin: FromContext, name: str, place: Place) -> FileStep:
    """The step of a FROM whose name ``--build-context`` makes a directory: all its files."""
    return FileStep(
        place=place,
        instruction=f"FROM {name}",
        name=f"FROM {name}",
        created_by=f"FROM {name} # buildkit",
        sources=(".",),
        contents=(),
        destination="/",
        origin=origin,
    )


def prepare(
    step: FileStep,
    chain: tuple[str, ...],
    tree: str,
    workplace: Workplace,
    may_match: Callable[[KeyParts], bool],
    begin: Begin,
) -> Prepared:
    """Key the step on a chain whose tree id is ``tree``; ``begin`` tells of bytes that are moved.

    Where no record can match whatever the sources contain, which ``may_match`` tells, they are not
    read for the key: it comes with the layer.

    Raises
    ------
    PathNotFoundError
        A source does not exist.
    BuildError
        A user or group does not exist.
    """
    owner = workplace.owner(step.chown, chain, step.place) if step.chown else None
    sources = [workplace.source(step.origin, source) for source in step.sources]
    sources += [
        CopySource.inline(name.encode("utf-8", "surrogateescape"), content)
        for name, content in step.contents
    ]
    local = _operation(step, sources, owner)
    base = () if step.link else chain
    instruction = _normalised(step, owner)
    start = "independent" if step.link else tree
    parts = KeyParts(start, instruction, None, ())
    if step.fetches:
        keys = fetch_keys(step.fetches, workplace.remote, begin)
        if sources:
            keys = (workplace.store.copy_key(local), *keys)
        whole = KeyParts(start, instruction, keys, ())

        def perform_fetched() -> Performed:
            everything = list(sources)
            for fetch in step.fetches:
                everything.insert(fetch.position, fetched_source(fetch, workplace.remote, begin))
            operation = _operation(step, everything, owner)
            with begin(COPYING) as moved:
                layer = workplace.store.copy_layer(base, operation, progress=moved)
            return Performed(layer, whole)

        return Prepared(whole, perform_fetched, independent=step.link)
    if may_match(parts):
        parts = KeyParts(start, instruction, (workplace.store.copy_key(local),), ())

    def perform() -> Performed:
        # The key of what is copied now: a source may have changed since it was keyed.
        with begin(COPYING) as moved:
            layer, key = workplace.store.copy_layer_keyed(base, local, progress=moved)
        return Performed(layer, KeyParts(start, instruction, (key,), ()))

    return Prepared(parts, perform, independent=step.link)


def _normalised(step: FileStep, owner: tuple[int, int] | None) -> tuple[str, ...]:
    """What the step does, but for its sources, as it stands in a key."""
    return (
        "COPY",
        step.destination,
        "" if owner is None else f"{owner[0]}:{owner[1]}",
        step.chmod,
        f"parents={step.parents} unpack={step.unpack} link={step.link}",
        *step.exclude,
    )


def _operation(
    step: FileStep, sources: list[CopySource], owner: tuple[int, int] | None
) -> CopyOperation:
    return CopyOperation(
        sources,
        step.destination.encode("utf-8", "surrogateescape"),
        owner=owner,
        mode=step.chmod or None,
        exclude=step.exclude,
        parents=step.parents,
        unpack=step.unpack,
        link=step.link,
    )


def _origin(instruction: Transfer, state: StageState, place: Place) -> Origin:
    if isinstance(instruction, Copy) and instruction.from_:
        return state.find_origin(instruction.from_, place, "COPY --from")
    return FromContext()
