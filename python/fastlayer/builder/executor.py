"""Carries a plan out: looks each step up in the cache, runs what is missing, side by side.

Each stage is a thread; a step that needs another stage waits for it. Steps of one stage follow each
other. When a step fails, or the user stops the build, what runs is killed, nothing new begins, and
the first error is the one that is told. Layers that were made stay in the store for the next build.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from fastlayer.builder.context import BuildContext
from fastlayer.builder.graph import (
    BaseImage,
    ConfigStep,
    FileStep,
    FromStage,
    LayerStep,
    Plan,
    PlannedStage,
    RunStep,
    Step,
    WorkdirStep,
    step_dependencies,
)
from fastlayer.builder.history import base_history, config_entry, layer_entry, timestamp
from fastlayer.builder.options import BuildOptions
from fastlayer.builder.remote_files import RemoteFiles
from fastlayer.builder.reporter import ReportedStep, Reporter
from fastlayer.builder.result import StageResult, StepResult
from fastlayer.builder.steps import file_step, run_step, workdir_step
from fastlayer.builder.workplace import Prepared, Workplace
from fastlayer.cache.explanation import settings
from fastlayer.cache.index import StepRecord
from fastlayer.cache.keys import digest
from fastlayer.cache.policy import StepCache
from fastlayer.errors import (
    BuildError,
    ConflictError,
    ContextError,
    DownloadError,
    FastlayerError,
    Interrupted,
    NotFoundError,
    RawLayerError,
    UnsafePathError,
)
from fastlayer.oci.history import HistoryEntry
from fastlayer.store import Store
from fastlayer.value import Value

LOOK_SECONDS = 0.1
"""How long the build waits at a time for a stage."""

STOP_SECONDS = 10.0
"""How long a stopped build waits for its threads."""


class _Made(Value, kw_only=False):
    """A layer, found or made."""

    diff_id: str
    created: str


class Executor:
    """Runs one plan.

    Parameters
    ----------
    plan:
        What to do.
    store, cache, context:
        What to do it with.
    reporter:
        Who is told.
    options:
        The build's settings.
    identity:
        A name of this Dockerfile and context: where the cache looks for what changed.
    remote:
        The build's files of the network.
    contexts:
        Further contexts, by name.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        store: Store,
        cache: StepCache,
        context: BuildContext,
        reporter: Reporter,
        options: BuildOptions,
        identity: str,
        remote: RemoteFiles,
        contexts: Mapping[str, BuildContext],
    ) -> None:
        self._plan = plan
        self._cache = cache
        self._fresh = options.no_cache_stages
        self._reporter = reporter
        self._identity = identity
        self._results: dict[int, StageResult] = {}
        self._finished = {index: threading.Event() for index in plan.stages}
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._failure_lock = threading.Lock()
        self._slots = threading.Semaphore(max(2, os.cpu_count() or 1))
        self._workplace = Workplace(
            store,
            context,
            lambda index: self._wait(index).chain,
            options,
            remote=remote,
            contexts=contexts,
        )

    def run(self) -> StageResult:
        """Carry the plan out; gives the target's result.

        Raises
        ------
        RunFailedError
            A RUN's process ended with a code other than 0.
        FastlayerError
            Anything else that went wrong.
        """
        stages = self._plan.order()
        try:
            if len(stages) == 1:
                self._results[self._plan.target] = self._stage(stages[0])
            else:
                self._side_by_side(stages)
        finally:
            self._stopped.set()
            self._workplace.close()
        return self._results[self._plan.target]

    def limits(self) -> list[tuple[str, int]]:
        """What RUN does not have on this machine, and the line where it was first missed."""
        return [(text, place.line) for text, place in self._workplace.limits]

    def _side_by_side(self, stages: list[PlannedStage]) -> None:
        threads = [
            threading.Thread(target=self._thread, args=(stage,), name=stage.name, daemon=True)
            for stage in stages
        ]
        for thread in threads:
            thread.start()
        try:
            # A signal that comes just before the wait begins does not end it, and Ctrl-C would not
            # be heard until a stage is done: so no wait is for ever.
            for thread in threads:
                while thread.is_alive():
                    thread.join(LOOK_SECONDS)
        except BaseException:
            self._stop(Interrupted("the build was stopped"))
            deadline = time.monotonic() + STOP_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise
        if self._failure is not None:
            raise self._failure

    def _thread(self, stage: PlannedStage) -> None:
        try:
            self._results[stage.index] = self._stage(stage)
        except BaseException as error:
            self._stop(error)
        finally:
            self._finished[stage.index].set()

    def _stop(self, error: BaseException) -> None:
        """Let nothing new begin; the first error counts."""
        with self._failure_lock:
            if self._failure is None:
                self._failure = error
        self._stopped.set()
        self._workplace.cancel()

    def _wait(self, index: int) -> StageResult:
        if index not in self._results:
            self._finished[index].wait()
        self._check()
        return self._results[index]

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("the build was stopped")

    def _stage(self, stage: PlannedStage) -> StageResult:
        chain, history = self._base(stage)
        for ordinal, step in enumerate(stage.steps):
            if isinstance(step, ConfigStep):
                history = (*history, config_entry(step.created_by))
                continue
            for needed in sorted(step_dependencies(step)):
                self._wait(needed)
            made = self._layer(stage, ordinal, step, chain)
            chain = (*chain, made.diff_id)
            history = (*history, layer_entry(step.created_by, made.created))
        return StageResult(chain, history)

    def _base(self, stage: PlannedStage) -> tuple[tuple[str, ...], tuple[HistoryEntry, ...]]:
        match stage.base:
            case FromStage():
                result = self._wait(stage.base.index)
                return result.chain, result.history
            case BaseImage():
                shown = self._reporter.step(stage.base_text)
                shown.done(cached=True)
                self._keep(shown, stage.base_text.partition("] ")[2], stage.place.line, cached=True)
                return stage.base.chain, base_history(stage.base.config)
        return (), ()

    def _layer(
        self, stage: PlannedStage, ordinal: int, step: Step, chain: tuple[str, ...]
    ) -> _Made:
        """Find or make a step's layer, and tell of it."""
        assert isinstance(step, LayerStep)
        self._check()
        shown = self._reporter.step(step.name)
        try:
            prepared = self._prepare(step, chain, shown)
            use = not self._is_fresh(stage)
            record = self._cache.lookup(prepared.parts) if use else None
            if record is not None:
                shown.done(cached=True)
                self._keep(shown, step.instruction, step.place.line, cached=True)
                return _Made(record.diff_id, record.created)
            place = digest(b"place", [(self._identity, stage.name, str(ordinal))])
            last = self._cache.previous(place) if use else None
            reason = "it was never built here before"
            if last is not None:
                missed = self._cache.miss_reason(prepared.parts, last, step.instruction)
                shown.status(f"not cached: {missed}")
                reason = f"{missed} since it was built at {last.created}"
            elif not (use and self._cache.use):
                reason = "it was asked for"
            return self._make(step, chain, prepared, place, shown, last, reason)
        except FastlayerError as error:
            placed = _placed(error, step)
            shown.failed(str(placed), canceled=isinstance(error, Interrupted))
            raise placed from error
        except KeyboardInterrupt:
            shown.failed("interrupted", canceled=True)
            raise

    def _is_fresh(self, stage: PlannedStage) -> bool:
        """Whether every step of a stage runs (``--no-cache-filter``)."""
        return bool(self._fresh & {stage.name, str(stage.index)})

    def _make(
        self,
        step: LayerStep,
        chain: tuple[str, ...],
        prepared: Prepared,
        place: str,
        shown: ReportedStep,
        last: StepRecord | None,
        reason: str,
    ) -> _Made:
        with self._slots:
            self._check()
            performed = prepared.perform()
        layer, parts = performed.layer, performed.parts
        if isinstance(step, FileStep) and last is not None:
            changes = self._cache.copied_changes(parts, last, layer.diff_id)
            if changes:
                shown.status(f"changed: {changes}")
                reason = f"{reason}: {changes}"
        made = _Made(layer.diff_id, timestamp(time.time()))
        after = (layer.diff_id,) if prepared.independent else (*chain, layer.diff_id)
        tree = self._cache.tree(after)
        earlier = self._cache.same_result(parts, tree)
        if earlier is not None:
            # The step gave the tree that it gave before: with the layer of then, all that follows
            # and the image itself stay what they were.
            made = _Made(earlier.diff_id, earlier.created)
            after = (*after[:-1], earlier.diff_id)
        self._cache.record(
            StepRecord(
                key=parts.key(),
                input_tree=parts.tree,
                diff_id=made.diff_id,
                tree=tree,
                created=made.created,
                seconds=shown.seconds,
                size=layer.content_size,
                description=step.instruction,
                place=place,
                parts=parts.fingerprints(),
                settings=settings(parts),
            ),
            after,
        )
        shown.done(added_bytes=layer.added_bytes)
        self._keep(
            shown,
            step.instruction,
            step.place.line,
            cached=False,
            added_bytes=layer.added_bytes,
            reason=reason,
        )
        return made

    def _prepare(self, step: Step, chain: tuple[str, ...], shown: ReportedStep) -> Prepared:
        tree = self._cache.tree(chain)
        match step:
            case FileStep():
                may_match = self._cache.may_match
                return file_step.prepare(
                    step, chain, tree, self._workplace, may_match, shown.transfer
                )
            case RunStep():
                return run_step.prepare(
                    step, chain, tree, self._workplace, shown.output, shown.transfer
                )
            case WorkdirStep():
                return workdir_step.prepare(step, chain, tree, self._workplace)
        raise BuildError(f"a step of an unknown kind: {step!r}")

    def _keep(
        self,
        shown: ReportedStep,
        instruction: str,
        line: int,
        *,
        cached: bool,
        added_bytes: int = 0,
        reason: str = "",
    ) -> None:
        self._reporter.keep(
            StepResult(shown.name, instruction, line, cached, shown.seconds, added_bytes, reason)
        )


_ASKED_FOR = (
    NotFoundError | UnsafePathError | ConflictError | RawLayerError | DownloadError | BuildError
)


def _placed(error: FastlayerError, step: LayerStep) -> FastlayerError:
    """The error with the instruction's place, where it is about what the instruction asks for."""
    if not isinstance(error, _ASKED_FOR) or (isinstance(error, BuildError) and error.line):
        return error
    kind = ContextError if isinstance(error, ContextError) else BuildError
    return kind(
        f"{step.place}: {error}", hint=error.hint, file=step.place.file, line=step.place.line
    )
