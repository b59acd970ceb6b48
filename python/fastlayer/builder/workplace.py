"""What a step needs to be keyed and carried out: the store, the context, finished stages, runner.

One for a build, used from several threads; whatever it gives is made at most once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fastlayer.builder.context import BuildContext
from fastlayer.builder.graph import FromContext, FromImage, FromStage, Origin, Place
from fastlayer.builder.options import BuildOptions
from fastlayer.builder.remote_files import RemoteFiles
from fastlayer.builder.scope import CACHE_NAMESPACE_ARGUMENT
from fastlayer.cache.keys import KeyParts
from fastlayer.errors import BuildError, ContainerError, PathNotFoundError
from fastlayer.store import CopySource, LayerInfo, LeftOut, Store
from fastlayer.value import Value

if TYPE_CHECKING:
    from fastlayer.container.step import StepRunner


NO_ISOLATION = (
    "RUN has no isolation: namespaces are refused here, so its processes see this machine's own, "
    "its network and its host name"
)
"""The warning where only the root directory is changed."""


class Performed(Value, kw_only=False):
    """What a step gave."""

    layer: LayerInfo
    parts: KeyParts
    """What it depended on, all of it known by now."""


class Prepared(Value, kw_only=False):
    """A step that is ready to be looked up and, if it must, to run."""

    parts: KeyParts
    """What it depends on; without inputs where no record can match."""
    perform: Callable[[], Performed]
    """Makes the layer."""
    independent: bool = False
    """Whether its layer does not depend on the tree below (``COPY --link``)."""


class Workplace:
    """The things of one build.

    Parameters
    ----------
    store:
        Where layers go.
    context:
        The build context.
    stage_chain:
        The layers of a finished stage, by its index.
    options:
        The build's settings.
    remote:
        The build's files of the network.
    contexts:
        Further contexts, by name.
    """

    def __init__(
        self,
        store: Store,
        context: BuildContext,
        stage_chain: Callable[[int], tuple[str, ...]],
        options: BuildOptions,
        *,
        remote: RemoteFiles,
        contexts: Mapping[str, BuildContext],
    ) -> None:
        self.store = store
        self.context = context
        self.remote = remote
        self._contexts = {**contexts, "": context}
        self.secrets = options.secrets
        self.agents = options.agents
        self.run_settings = options.run
        self.cache_namespace = options.build_args.get(CACHE_NAMESPACE_ARGUMENT, "")
        self._stage_chain = stage_chain
        self._runner: StepRunner | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._looked = False
        self.limits: list[tuple[str, Place]] = []
        """What processes of RUN do not have here, and the first RUN that missed it."""

    def look_for_limits(self, chain: tuple[str, ...], place: Place) -> None:
        """Note what processes over the chain will miss; the first time only."""
        with self._lock:
            if self._looked:
                return
            self._looked = True
        if not self.runner().is_isolated:
            self.limits.append((NO_ISOLATION, place))
        missing = _missing(self.store.left_out(chain)) if chain else ""
        if missing:
            self.limits.append((missing, place))

    def runner(self) -> StepRunner:
        """The one that runs processes; made when first asked for."""
        with self._lock:
            if self._closed:
                raise BuildError("the build was stopped")
            if self._runner is None:
                from fastlayer.container.step import StepRunner

                self._runner = StepRunner(self.store)
            return self._runner

    def cancel(self) -> None:
        """Kill what runs; nothing starts any more."""
        with self._lock:
            self._closed = True
            runner = self._runner
        if runner is not None:
            runner.cancel()

    def close(self) -> None:
        """Undo what running processes needed, and write the context's stat cache."""
        with self._lock:
            self._closed = True
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
        for context in self._contexts.values():
            context.save()

    def files(self, origin: Origin) -> BuildContext:
        """The context that an origin without layers is."""
        assert isinstance(origin, FromContext)
        return self._contexts[origin.name]

    def chain(self, origin: Origin) -> tuple[str, ...] | None:
        """The layers of an origin; ``None`` for the context."""
        match origin:
            case FromStage():
                return self._stage_chain(origin.index)
            case FromImage():
                return origin.image.chain
            case FromContext():
                return None

    def source(self, origin: Origin, pattern: str) -> CopySource:
        """A path or wildcard of an origin, for the store to copy."""
        path = pattern.encode("utf-8", "surrogateescape")
        chain = self.chain(origin)
        if chain is None:
            return CopySource.context(self.files(origin).files, path)
        return CopySource.tree(chain, path)

    def owner(self, text: str, chain: tuple[str, ...], place: Place) -> tuple[int, int]:
        """The numbers of ``user[:group]``; names are looked up in the chain's own files.

        A number alone is both user and group, a name alone brings its own group. Where there are no
        such files, root is known.

        Raises
        ------
        BuildError
            A name is not in the files.
        """
        user, colon, group = text.partition(":")
        if user.isdigit() and (group.isdigit() or not colon):
            return int(user), int(group or user)
        from fastlayer.container.user import resolve

        passwd, groups = self._file(chain, b"etc/passwd"), self._file(chain, b"etc/group")
        if not passwd and user == "root":
            text = f"0{colon}{'0' if group == 'root' and not groups else group}"
        try:
            found = resolve(text, passwd, groups)
        except ContainerError as error:
            raise BuildError(
                f"{place}: {error}", hint=error.hint, file=place.file, line=place.line
            ) from error
        return found.uid, found.gid

    def _file(self, chain: tuple[str, ...], path: bytes) -> bytes:
        from fastlayer.container.user import MAXIMUM_FILE_SIZE

        try:
            return self.store.read(chain, path, limit=MAXIMUM_FILE_SIZE) if chain else b""
        except PathNotFoundError:
            return b""


def _missing(left_out: LeftOut) -> str:
    """What an ordinary user's processes do not see as the layers have it; empty where nothing."""
    found = (
        (left_out.devices, "device nodes"),
        (left_out.owners, "owners of files"),
        (left_out.attributes, "sets of extended attributes"),
    )
    shown = ", ".join(f"{count} {what}" for count, what in found if count)
    if not shown:
        return ""
    return f"RUN misses what an ordinary user cannot make of its base: {shown}; layers keep it"
