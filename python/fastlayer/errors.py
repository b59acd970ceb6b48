"""The one tree of errors: what went wrong, where, and what to do next.

Every exception that fastlayer raises on purpose derives from :class:`FastlayerError`.
``str(error)`` is the text behind ``error:``; ``error.hint`` is the text behind ``hint:``.
``exit_code`` is what the command exits with (docker's numbers). This module imports nothing of
fastlayer, so that every other module may import it.
"""

from __future__ import annotations

import errno as system

_FULL = (system.ENOSPC, system.EDQUOT)
_FAILING = (system.EIO, system.EUCLEAN, system.EBADMSG, system.EROFS)
"""How a disk fails, and what its file system says when it has given up."""


class FastlayerError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message:
        What went wrong and where: one line, no final period.
    hint:
        What the user can do next, or ``None``.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(
    kind: type[FastlayerError], args: tuple[object, ...], state: dict[str, object]
) -> FastlayerError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(FastlayerError):
    """The command line or the arguments of a call do not fit together."""

    exit_code = 125


class StoreError(FastlayerError):
    """The store cannot do what was asked."""


class StoreIOError(StoreError):
    """A system call on the store failed (full disk, read-only, …); ``errno`` says which.

    A full and a failing disk have hints of their own, where the caller knows of none.
    """

    def __init__(self, message: str, *, hint: str | None = None, errno: int | None = None) -> None:
        if hint is None and errno in _FULL:
            hint = (
                "free space on the store's file system (fastlayer builder prune, rmi), or name "
                "another store with --root"
            )
        elif hint is None and errno in _FAILING:
            hint = "the disk or its file system fails: see dmesg; fastlayer fsck checks the store"
        super().__init__(message, hint=hint)
        self.errno = errno


class StoreFormatError(StoreError):
    """A store or a file of it has a version that is not known, or a directory is not a store."""


class CorruptError(StoreError):
    """Stored or given bytes do not match their digest, or an archive is damaged or truncated."""


class TarFormatError(CorruptError):
    """A tar archive breaks the rules of the format; ``offset`` is in bytes from its start."""

    def __init__(self, message: str, *, hint: str | None = None, offset: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset


class RawLayerError(StoreError):
    """The layer is kept as raw bytes because its tar was refused; its files cannot be read."""


class UnsafePathError(StoreError):
    """A path would leave the root it belongs to."""


class LimitError(StoreError):
    """An input is larger than a named limit (entries, depth, ratio, header size)."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        if hint is None:
            hint = "make it smaller or split it up; docs/reliability.md lists the limits"
        super().__init__(message, hint=hint)


class NotFoundError(FastlayerError):
    """Something named does not exist."""


class ImageNotFoundError(NotFoundError):
    """No image of that name or id is in the store."""


class ContainerNotFoundError(NotFoundError):
    """No container of that name or id is in the store."""


class PathNotFoundError(NotFoundError):
    """No such path in an image, layer, context or container."""


class ReferenceFormatError(FastlayerError):
    """An image name does not follow the reference grammar."""


class ConflictError(FastlayerError):
    """The thing exists already, or is in use."""


class DocumentError(FastlayerError):
    """An image document (manifest, index, config) breaks the OCI or docker schema."""


class ArchiveError(FastlayerError):
    """A file given to load or import is not an archive fastlayer knows, or lacks a part."""


class DownloadError(FastlayerError):
    """A file or repository of the network cannot be fetched."""


class PlacedError(FastlayerError):
    """Something is wrong at a place of a Dockerfile.

    ``file``, ``line`` and ``column`` (1-based) locate it, ``source`` is the offending line's text
    and ``length`` how many characters of it are meant; what is not known is ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        source: str | None = None,
        length: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.source = source
        self.length = length

    def excerpt(self) -> str:
        """The offending line behind its number and column, and what is meant underlined.

        Empty where the line's text is not known, or is empty itself.
        """
        text = (self.source or "").rstrip()
        if not text or not self.line:
            return ""
        column = self.column or len(text) - len(text.lstrip()) + 1
        length = max(1, min(self.length or len(text), len(text) - column + 1))
        # Tabs stay, so that what is below stands below.
        before = "".join("\t" if one == "\t" else " " for one in text[: column - 1])
        gutter = f"  {self.line}:{column} | "
        return f"{gutter}{text}\n{'| '.rjust(len(gutter))}{before}{'^' * length}\n"


class DockerfileError(PlacedError):
    """A Dockerfile cannot be parsed, or asks for what is not supported."""

    def __str__(self) -> str:
        place = self.file or "Dockerfile"
        return f"{place}:{self.line}: {self.message}" if self.line else f"{place}: {self.message}"


class BuildError(PlacedError):
    """A build cannot be done; ``file`` and ``line`` name the instruction, where there is one."""


class RunFailedError(BuildError):
    """A RUN's process ended with a code other than 0; ``exit_code`` is that code.

    ``output`` is the end of what the process wrote, where that is known; ``failed_id`` is what
    ``fastlayer run`` takes for the tree that it left, empty where that was not kept.
    """

    output: bytes = b""
    failed_id: str = ""

    def __init__(
        self,
        message: str,
        *,
        exit_code: int,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, file=file, line=line)
        self.exit_code = exit_code


class ContextError(BuildError):
    """The build context cannot be read, or a path leaves it."""


class ContainerError(FastlayerError):
    """A container cannot be created, started or changed."""

    exit_code = 125


class RuntimeMissingError(ContainerError):
    """No way to run a process here: no OCI runtime, or the kernel refuses namespaces."""


class InternalError(FastlayerError):
    """A bug in fastlayer; please report it."""


class Interrupted(FastlayerError):  # noqa: N818  (named for what happened, as KeyboardInterrupt is)
    """The user stopped the work (Ctrl-C)."""

    exit_code = 130
