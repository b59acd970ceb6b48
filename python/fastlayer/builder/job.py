"""``build``: from a context and a Dockerfile to an image in the store, and to other outputs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypedDict, Unpack

from fastlayer.builder.checks import check_build, check_facts, check_options
from fastlayer.builder.context import (
    BuildContext,
    DockerfileText,
    check_directory,
    open_context,
)
from fastlayer.builder.executor import Executor
from fastlayer.builder.graph import BaseImage, Plan
from fastlayer.builder.history import image_config
from fastlayer.builder.options import NETWORKS, BuildOptions, RunSettings, Secret
from fastlayer.builder.output import Output, parse_output
from fastlayer.builder.own_layers import CONTEXT_EPOCH, clamped, parse_epoch, squashed
from fastlayer.builder.places import ContextPlace, find_context, find_dockerfile, is_remote
from fastlayer.builder.plan import make_plan
from fastlayer.builder.remote_files import RemoteFiles
from fastlayer.builder.reporter import Reporter
from fastlayer.builder.result import BuildResult, CheckReport, StageResult
from fastlayer.builder.scope import EPOCH_ARGUMENT, HOSTNAME_ARGUMENT, KEEP_GIT_ARGUMENT
from fastlayer.cache.index import CACHE_FILE, CacheIndex
from fastlayer.cache.mounts import CacheMounts
from fastlayer.cache.policy import StepCache, cache_budget
from fastlayer.dockerfile import Dockerfile, parse
from fastlayer.dockerfile.lint import check_data
from fastlayer.dockerfile.source import printable
from fastlayer.errors import (
    BuildError,
    FastlayerError,
    ImageNotFoundError,
    PlacedError,
    RunFailedError,
    UsageError,
)
from fastlayer.image.catalog import ImageCatalog
from fastlayer.oci.config import ImageConfig
from fastlayer.oci.descriptor import Descriptor
from fastlayer.oci.platform import Platform, parse_platform
from fastlayer.oci.reference import Reference, parse_reference
from fastlayer.progress.events import QuietRenderer
from fastlayer.store import Store

if TYPE_CHECKING:
    from fastlayer.progress.events import Renderer


class BuildArguments(TypedDict, total=False):
    """What :func:`build` takes besides the context; all of it may be left out."""

    tags: str | Sequence[str]
    """The image's names."""
    dockerfile: str | os.PathLike[str] | bytes | None
    """A path, or the bytes of a Dockerfile; ``None`` looks for it in the context."""
    build_args: Mapping[str, str]
    """Values for ARG."""
    target: str
    """The stage to build; the last one where empty."""
    network: str
    """What RUN has where it says nothing itself: ``default``, ``host`` or ``none``."""
    no_cache: bool
    """Run every step, whatever was built before."""
    strict_cache: bool
    """Let a step depend on the layers below it instead of on their content."""
    platform: str | None
    """Such as ``linux/arm64``; this machine's where it is ``None``."""
    labels: Mapping[str, str]
    """Labels of the image, besides those of LABEL."""
    secrets: Mapping[str, bytes]
    """Contents of ``RUN --mount=type=secret``, by id."""
    ssh: Mapping[str, str]
    """For ``RUN --mount=type=ssh``, by id: the socket of an SSH agent, or the files of private keys
    with commas between them."""
    allow: Collection[str]
    """What the Dockerfile may ask for: ``security.insecure``."""
    run: RunSettings
    """What the processes of RUN get: hosts, limits."""
    outputs: Sequence[str | Output]
    """Other forms of the result: texts as for ``--output``, or values."""
    gc: bool
    """Whether the cache is brought back to its budget afterwards; it is by default."""
    source_date_epoch: int | str | None
    """Seconds since 1970: no time of the image's own is later. ``context`` is the time of a context
    that is a repository or an archive. The build argument ``SOURCE_DATE_EPOCH`` does the same."""
    squash: bool
    """Make one layer of all that the build adds to its base."""
    no_cache_filter: Sequence[str]
    """Names or numbers of stages all of whose steps run."""
    contexts: Mapping[str, str]
    """Further contexts by name: a directory, a URL, ``docker-image://IMAGE`` or
    ``oci-layout://PATH[:TAG]``."""
    annotations: Mapping[str, str]
    """Of the manifest, in outputs of the type ``oci``."""


def build(
    context: str | os.PathLike[str] | BinaryIO | None,
    *,
    store: Store | None = None,
    progress: Renderer | None = None,
    **arguments: Unpack[BuildArguments],
) -> BuildResult:
    """Build an image.

    Parameters
    ----------
    context:
        What COPY and ADD take from: a directory, the URL of an archive or of a repository, or an
        open archive. Where there is a Dockerfile in the place of the archive, and for ``None``,
        there are no files.
    store:
        Where layers and the image go; the default store where it is ``None``.
    progress:
        Who is shown what happens; nobody where it is ``None``.
    arguments:
        See :class:`BuildArguments`.

    Raises
    ------
    DockerfileError
        The Dockerfile is wrong or asks for what is not supported; says where.
    ContextError
        The context or the Dockerfile cannot be read.
    RunFailedError
        A RUN's process failed; ``exit_code`` is its code.
    BuildError
        Anything else that a step cannot do; the store is as it was but for layers already made.
    """
    began = time.monotonic()
    options = _options(arguments)
    given = arguments.get("outputs", ())
    forms = tuple(parse_output(form) if isinstance(form, str) else form for form in given)
    stored = [name for form in forms if form.kind == "image" for name in form.names]
    references = tuple(dict.fromkeys(_reference(tag) for tag in (*options.tags, *stored)))
    if options.annotations and not any(form.kind == "oci" for form in forms):
        raise UsageError(
            "annotations are of a manifest, and no output with an OCI manifest is written",
            hint="write one with -o type=oci,dest=FILE",
        )
    with _opened(context, store, progress, options, arguments) as work:
        plan = work.plan()
        stage = work.execute(plan)
        result = work.finish(plan, stage, references, forms, began)
    if arguments.get("gc", True):
        work.trim_cache()
    return result


def check(
    context: str | os.PathLike[str] | BinaryIO | None,
    *,
    store: Store | None = None,
    **arguments: Unpack[BuildArguments],
) -> CheckReport:
    """Check a Dockerfile as ``docker build --check`` does; nothing is built.

    The parameters are those of :func:`build`. A Dockerfile that is wrong is no error here: the
    report says so.

    Raises
    ------
    ContextError
        The context or the Dockerfile cannot be read.
    """
    with _opened(context, store, None, _options(arguments), arguments) as work:
        return work.check()


def read_dockerfile(
    context: str | os.PathLike[str] | BinaryIO | None,
    *,
    store: Store | None = None,
    **arguments: Unpack[BuildArguments],
) -> Dockerfile:
    """The parsed Dockerfile that :func:`build` would build with these arguments.

    Raises
    ------
    DockerfileError
        It is wrong.
    ContextError
        The context or the Dockerfile cannot be read.
    """
    with _opened(context, store, None, _options(arguments), arguments) as work:
        return work.parsed()


@contextlib.contextmanager
def _opened(
    context: str | os.PathLike[str] | BinaryIO | None,
    store: Store | None,
    progress: Renderer | None,
    options: BuildOptions,
    arguments: BuildArguments,
) -> Iterator[_Build]:
    """The context and the Dockerfile of a build; what was fetched for it is removed afterwards."""
    if isinstance(context, str | os.PathLike) and not is_remote(os.fspath(context)):
        check_directory(os.fspath(context))
    opened = store if store is not None else Store()
    reporter = Reporter(progress if progress is not None else QuietRenderer())
    with contextlib.ExitStack() as stack:
        if options.agents:
            from fastlayer.builder.key_agent import agent_sockets

            options = options.replace(agents=stack.enter_context(agent_sockets(options.agents)))
        remote = stack.enter_context(RemoteFiles(opened, options.agents))
        # Until the ref is written nothing else names the layers.
        stack.enter_context(opened.lease())
        place = find_context(
            context,
            remote,
            tell=lambda text: reporter.step(text).done(),
            keep_git=options.build_args.get(KEEP_GIT_ARGUMENT, "") in {"1", "true"},
        )
        text = find_dockerfile(place, arguments.get("dockerfile"))
        work = _Build(opened, options, reporter, remote, place, text)
        try:
            yield work
        except PlacedError as error:
            work.show_place(error)
            raise
        finally:
            work.tell_warnings()


class _Build:
    """One call of :func:`build`, its arguments checked."""

    def __init__(
        self,
        store: Store,
        options: BuildOptions,
        reporter: Reporter,
        remote: RemoteFiles,
        place: ContextPlace,
        text: DockerfileText,
    ) -> None:
        self._store = store
        self._catalog = ImageCatalog(store)
        self._options = options
        self._reporter = reporter
        self._remote = remote
        self._place = place
        self._text = text
        self._contexts: dict[str, BuildContext] = {}
        if options.contexts:
            self._open_contexts()
        self._context = open_context(place.root, text, store.root, keep=not place.is_foreign)
        self._warnings: list[tuple[str, int]] = []

    def plan(self) -> Plan:
        """Read the Dockerfile, and work out what is to be done."""
        shown = self._reporter.step(f"[internal] load build definition from {self._text.name}")
        shown.status("transferring dockerfile:", len(self._text.data))
        try:
            dockerfile = self.parsed()
            plan = make_plan(dockerfile, self._options, self._base_image, self._place.time)
            checked = check_build(dockerfile, self._options, self._catalog, self._context)
        except BaseException as error:
            shown.failed(str(error))
            raise
        shown.done()
        self._warnings += plan.warnings
        self._warnings += [
            (f"{finding.rule.name}: {finding.message}", finding.span.first)
            for finding in checked.findings
        ]
        return plan

    def parsed(self) -> Dockerfile:
        """The Dockerfile."""
        return parse(self._text.data, file=self._text.name)

    def check(self) -> CheckReport:
        """Check the Dockerfile only."""
        result = check_data(
            self._text.data,
            file=self._text.name,
            facts=check_facts(self._options, self._catalog, self._context),
            options=check_options(self._options),
        )
        return CheckReport(self._text.name, self._text.data, result)

    def show_place(self, error: PlacedError) -> None:
        """Give an error the text of its line; that of a failed process names it already."""
        if error.source is None and error.line and not isinstance(error, RunFailedError):
            lines = self._text.data.decode("utf-8", "replace").splitlines()
            if error.line <= len(lines):
                error.source = printable(lines[error.line - 1])

    def tell_warnings(self) -> None:
        """Tell what is odd about the Dockerfile, once: at the end, where it is read."""
        for message, line in self._warnings:
            self._reporter.warning(message, self._text.name, line)
        self._warnings.clear()

    def execute(self, plan: Plan) -> StageResult:
        """Carry the plan out."""
        context = self._context
        path = self._text.path
        identity = f"{self._place.identity}\0{os.path.abspath(path) if path else self._text.name}"
        cache = StepCache(
            self._store,
            self._store.root / CACHE_FILE,
            use=self._options.use_cache,
            strict=self._options.strict_cache,
        )
        with contextlib.closing(cache):
            executor = Executor(
                plan,
                store=self._store,
                cache=cache,
                context=context,
                reporter=self._reporter,
                options=self._options,
                identity=identity,
                remote=self._remote,
                contexts=self._contexts,
            )
            try:
                stage = executor.run()
            except RunFailedError as error:
                error.output = self._reporter.tail
                raise
            finally:
                self._warnings += executor.limits()
            return self._final(plan, stage, cache)

    def _final(self, plan: Plan, stage: StageResult, cache: StepCache) -> StageResult:
        """The stage with its own layers as they were asked for."""
        if self._options.squash:
            stage = squashed(plan, stage, self._store)
        return stage if plan.epoch is None else clamped(plan, stage, plan.epoch, cache)

    def finish(
        self,
        plan: Plan,
        stage: StageResult,
        references: tuple[Reference, ...],
        forms: tuple[Output, ...],
        began: float,
    ) -> BuildResult:
        """Make the image, name it, and write the outputs."""
        config = image_config(plan.stages[plan.target], stage.chain, stage.history)
        fileless = {"local", "tar", "cacheonly"}
        files_only = bool(forms) and all(form.kind in fileless for form in forms)
        image_id = None
        if references or not files_only:
            image_id = self._keep_image(config, references)
        descriptor = None
        for form in forms:
            descriptor = self._write(form, config, references) or descriptor
        self.tell_warnings()
        seconds = time.monotonic() - began
        content_size = sum(self._catalog.layer_size(diff_id) for diff_id in stage.chain)
        self._reporter.finish(image_id, content_size, seconds)
        return BuildResult(
            image_id=image_id,
            config_digest=config.digest,
            chain=stage.chain,
            tags=tuple(reference.canonical for reference in references),
            steps=self._reporter.results(),
            warnings=self._reporter.warnings(),
            seconds=seconds,
            descriptor=descriptor,
        )

    def trim_cache(self) -> None:
        """Bring the cache back to its budget. The image is there, so a failure is a warning."""
        try:
            index = CacheIndex(self._store.root / CACHE_FILE)
            size = index.content_size()
            index.close()
            # An upper bound; only cache mounts that were used since are looked at.
            size += CacheMounts(self._store.root).size()
            if size <= cache_budget(self._store.root):
                return
            from fastlayer.builder.storage import Storage

            Storage(self._store).keep_cache_within_budget()
        except FastlayerError as error:
            self._reporter.warning(f"the build cache is not cleaned: {error}", self._text.name, 0)

    def _base_image(self, name: str, platform: Platform) -> BaseImage:
        try:
            image = self._catalog.resolve(name, platform=platform)
        except ImageNotFoundError as error:
            if self._catalog.find(name) is not None:
                raise BuildError(str(error), hint=error.hint) from error
            raise
        self._catalog.size(image)  # so that the lease names its layers, and a lost one is told now
        if name in {image.id, image.id.removeprefix("sha256:")}:
            return BaseImage(name, name, image.config)
        reference = parse_reference(name).with_default_tag().canonical
        return BaseImage(name, reference, image.config)

    def _open_contexts(self) -> None:
        """Make what ``--build-context`` names."""
        from fastlayer.builder.named_contexts import NamedImage, open_contexts

        options = self._options
        found = open_contexts(
            options.contexts, self._catalog, self._remote, self._reporter, options.platform
        )
        self._contexts = {name: one for name, one in found.items() if isinstance(one, BuildContext)}
        images = {name: one.image for name, one in found.items() if isinstance(one, NamedImage)}
        self._options = options.replace(
            directory_names=frozenset(self._contexts), image_names=images
        )

    def _keep_image(self, config: ImageConfig, references: tuple[Reference, ...]) -> str:
        shown = self._reporter.step("exporting to image")
        image = self._catalog.create(config, names=references)
        shown.status(f"writing image {image.id} done")
        for reference in references:
            shown.status(f"naming to {reference.canonical} done")
        shown.done()
        return image.id

    def _write(
        self, form: Output, config: ImageConfig, references: tuple[Reference, ...]
    ) -> Descriptor | None:
        """Write one form; gives the descriptor of its manifest, where it has one."""
        if form.kind in {"image", "cacheonly"}:
            return None
        from fastlayer.image.image import Image
        from fastlayer.transport.outputs import write_image

        shown = self._reporter.step(f"exporting to {form.kind} {form.destination}")
        image = Image(id=config.digest, config=config)
        names = tuple(_reference(name) for name in form.names) or references
        texts = {"local": "copying files", "tar": "sending tarball"}
        with shown.transfer() as moved:
            report = write_image(
                self._catalog,
                image,
                kind=form.kind,
                destination=1 if form.destination == "-" else form.destination,
                names=names,
                codec=form.codec,
                level=form.level,
                annotations={**self._options.annotations, **form.annotations},
                progress=lambda name, done, total: moved.part(
                    texts.get(name, f"exporting layer {name}"), done, total
                ),
            )
        shown.done()
        return report.descriptors.get(image.id)


def _options(arguments: BuildArguments) -> BuildOptions:
    network = arguments.get("network", "default")
    if network not in NETWORKS:
        raise UsageError(f"network {network} is not known", hint=f"one of {', '.join(NETWORKS)}")
    tags = arguments.get("tags", ())
    platform = arguments.get("platform")
    build_args = dict(arguments.get("build_args", {}))
    given = arguments.get("source_date_epoch")
    if given is not None:
        build_args[EPOCH_ARGUMENT] = str(given)
    if build_args.get(EPOCH_ARGUMENT, CONTEXT_EPOCH) not in {"", CONTEXT_EPOCH}:
        parse_epoch(build_args[EPOCH_ARGUMENT])
    secrets, run = arguments.get("secrets", {}), arguments.get("run", RunSettings())
    return BuildOptions(
        tags=(tags,) if isinstance(tags, str) else tuple(tags),
        build_args=build_args,
        target=arguments.get("target", ""),
        network=network,
        use_cache=not arguments.get("no_cache", False),
        strict_cache=arguments.get("strict_cache", False),
        platform=parse_platform(platform) if platform else None,
        labels=dict(arguments.get("labels", {})),
        secrets={name: Secret(name, content) for name, content in secrets.items()},
        agents=dict(arguments.get("ssh", {})),
        allowed=frozenset(arguments.get("allow", ())),
        run=run.replace(hostname=build_args[HOSTNAME_ARGUMENT])
        if build_args.get(HOSTNAME_ARGUMENT)
        else run,
        squash=arguments.get("squash", False),
        no_cache_stages=frozenset(name.lower() for name in arguments.get("no_cache_filter", ())),
        contexts=dict(arguments.get("contexts", {})),
        annotations=dict(arguments.get("annotations", {})),
    )


def _reference(text: str) -> Reference:
    reference = parse_reference(text).with_default_tag()
    if reference.digest:
        raise UsageError(f"{text}: a name with a digest cannot be given to an image")
    return reference
