"""The parts of an archive by name, whatever holds them: a tar file or a directory.

Invariants: nothing is extracted; a name cannot lead out of the archive; a part is handed out as a
stretch of an open file. Knows nothing of images.
"""

from __future__ import annotations

import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fastlayer.errors import ArchiveError, CorruptError, LimitError

MAXIMUM_PARTS = 100_000
"""Most members of an archive that are listed."""

MAXIMUM_LINKS = 16
"""Most links followed to find a part."""

MAXIMUM_HEADER = 1 << 20
"""Largest extended header of a member, bytes."""

MAXIMUM_HEADERS = 2 << 20
"""All that stands before one member's content, bytes."""

MAXIMUM_NAME = 1024
"""Longest name of a member and longest target of a link, characters."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file: ``size`` bytes from ``offset`` on."""

    name: str
    descriptor: int
    offset: int
    size: int


class Parts(Protocol):
    """What a reader of images asks of an archive."""

    @property
    def label(self) -> str:
        """What to call the archive in an error."""

    def find(self, name: str) -> Part | None:
        """The regular file of that name, links followed; None where there is none."""


def get(parts: Parts, name: str) -> Part:
    """The part of that name.

    Raises
    ------
    ArchiveError
        Where the archive lacks it.
    """
    part = parts.find(name)
    if part is None:
        raise ArchiveError(
            f"{parts.label}: {name} is missing", hint="the archive is incomplete: make it again"
        )
    return part


def read(parts: Parts, name: str, limit: int) -> bytes:
    """The content of a small part; at most ``limit`` bytes.

    Raises
    ------
    ArchiveError
        Where the archive lacks it.
    LimitError
        Where it is larger.
    """
    part = get(parts, name)
    if part.size > limit:
        raise LimitError(f"{parts.label}: {name} has {part.size} bytes, more than {limit}")
    data = os.pread(part.descriptor, part.size, part.offset)
    if len(data) != part.size:
        raise CorruptError(f"{parts.label}: {name} is truncated", hint="make the archive again")
    return data


def normalise(name: str) -> str | None:
    """A member's name without ``./`` and slashes around it; None where it leads outside."""
    words = [word for word in name.split("/") if word not in {"", "."}]
    return None if ".." in words else "/".join(words)


class TarParts:
    """The members of a plain tar that can be read anywhere.

    Parameters
    ----------
    descriptor:
        The open tar; stays the caller's.
    label:
        What to call it in an error.

    Raises
    ------
    ArchiveError
        Where it is no tar.
    CorruptError
        Where it is damaged or ends too soon.
    """

    def __init__(self, descriptor: int, label: str) -> None:
        self._label = label
        self._descriptor = descriptor
        self._files: dict[str, Part] = {}
        self._links: dict[str, str] = {}
        size = os.fstat(descriptor).st_size
        file = _BoundedFile(descriptor)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:  # type: ignore[call-overload]
                for number, member in enumerate(archive):
                    if number >= MAXIMUM_PARTS:
                        raise LimitError(f"{label}: more than {MAXIMUM_PARTS} members")
                    self._add(member, size)
                    archive.members.clear()  # tarfile remembers them all
                    archive.pax_headers.clear()  # and what global headers say
                    file.begin_member()
        except tarfile.ReadError as error:
            if self._files:
                raise CorruptError(
                    f"{label}: damaged or truncated: {error}", hint="make the archive again"
                ) from error
            raise ArchiveError(
                f"{label}: not a tar archive: {error}", hint="make or fetch the archive again"
            ) from error
        except RecursionError as error:  # tarfile calls itself for each
            raise CorruptError(f"{label}: damaged: too many extended headers") from error
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise CorruptError(f"{label}: damaged: {error}") from error

    def _add(self, member: tarfile.TarInfo, archive_size: int) -> None:
        if max(len(member.name), len(member.linkname)) > MAXIMUM_NAME:
            raise LimitError(f"{self._label}: a name of more than {MAXIMUM_NAME} characters")
        name = normalise(member.name)
        if name is None:
            raise ArchiveError(f"{self._label}: member {member.name!r} leads out of the archive")
        self._files.pop(name, None)
        self._links.pop(name, None)
        if member.issym():
            self._links[name] = _join(name, member.linkname)
        elif member.islnk():
            self._links[name] = member.linkname
        elif member.sparse is not None:
            raise ArchiveError(f"{self._label}: member {name!r} is sparse, which is not supported")
        elif member.isfile():
            if member.size < 0:
                raise CorruptError(f"{self._label}: damaged: {name} has a negative size")
            if member.offset_data + member.size > archive_size:
                raise CorruptError(
                    f"{self._label}: truncated inside {name}", hint="make the archive again"
                )
            self._files[name] = Part(name, self._descriptor, member.offset_data, member.size)

    @property
    def label(self) -> str:
        """What to call the archive in an error."""
        return self._label

    def find(self, name: str) -> Part | None:
        """The regular file of that name, links followed; None where there is none."""
        for _ in range(MAXIMUM_LINKS):
            clean = normalise(name)
            if clean is None:
                return None
            if clean not in self._links:
                return self._files.get(clean)
            name = self._links[clean]
        raise ArchiveError(f"{self._label}: too many links at {name}")


class DirectoryParts:
    """The files below a directory; links are not followed.

    Parameters
    ----------
    path:
        The directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, Part] = {}

    @property
    def label(self) -> str:
        """What to call the directory in an error."""
        return str(self._path)

    def find(self, name: str) -> Part | None:
        """The regular file of that name; None where there is none."""
        clean = normalise(name)
        if not clean:
            return None
        if clean not in self._open:
            descriptor = self._descend(clean.split("/"))
            if descriptor is None:
                return None
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                return None
            self._open[clean] = Part(clean, descriptor, 0, status.st_size)
        return self._open[clean]

    def _descend(self, words: list[str]) -> int | None:
        """Open a file component by component, so that no link can lead outside."""
        current = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, word in enumerate(words):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            if number < len(words) - 1:
                flags |= os.O_DIRECTORY
            try:
                following = os.open(word, flags, dir_fd=current)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                raise ArchiveError(f"{self._path}/{'/'.join(words)}: {error.strerror}") from error
            finally:
                os.close(current)
            current = following
        return current

    def close(self) -> None:
        """Close all files that were opened."""
        for part in self._open.values():
            os.close(part.descriptor)
        self._open.clear()


class _BoundedFile:
    """What tarfile reads from: refuses the reads of gigabytes that a hostile header asks for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._left = MAXIMUM_HEADERS

    def begin_member(self) -> None:
        """A member is done with: what stands before the next one counts anew."""
        self._left = MAXIMUM_HEADERS

    def read(self, size: int) -> bytes:
        self._left -= size
        if size > MAXIMUM_HEADER or self._left < 0:
            raise tarfile.ReadError(f"extended headers of more than {MAXIMUM_HEADER} bytes")
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        if position < self._position - 1:  # tarfile looks at the last byte that it skips
            raise tarfile.ReadError("a member's size leads backwards")
        self._position = position

    def tell(self) -> int:
        return self._position


def _join(name: str, target: str) -> str:
    """A symlink's target seen from the root of the archive; what leaves it keeps its ``..``."""
    words = [] if target.startswith("/") else name.split("/")[:-1]
    for word in target.split("/"):
        if word == ".." and words and words[-1] != "..":
            words.pop()
        elif word not in {"", "."}:
            words.append(word)
    return "/".join(words)
