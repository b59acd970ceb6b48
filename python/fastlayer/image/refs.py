"""The files below ``refs/``: which images are in the store, and which names point at them.

::

    refs/lock                       flock for every change
    refs/images/<hex of the id>.json  one an image, named or not
    refs/names/<encoded name>.json    one a name

Each is a small JSON document with a ``version``, written to a temporary name, fsynced and renamed;
its directory is fsynced after that. Readers take no lock: a file is there whole or not at all.
Knows nothing of what the digests mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TypeVar

from fastlayer.errors import CorruptError, DocumentError, StoreFormatError, StoreIOError
from fastlayer.oci.digest import encoded, sha256_digest
from fastlayer.oci.document import Node, encode, parse
from fastlayer.store import disk_usage
from fastlayer.value import Value

VERSION = 1
"""Version of the two kinds of file; no other is read."""

_LONGEST_FILE_NAME = 240
_READABLE_HEAD = 150
_SUFFIX = ".json"
_TEMPORARY = ".new-"
_Record = TypeVar("_Record")


class ImageRecord(Value):
    """An image of the store: its config, and the manifest it came with (None: made here)."""

    config: str
    manifest: str | None = None


class NameRecord(Value):
    """A canonical name, and what it points at.

    ``images`` has a config digest for each platform (``linux/amd64``). ``digest`` and
    ``media_type`` are those of the index or manifest that was loaded under the name; None and
    empty where the image was made here.
    """

    name: str
    images: Mapping[str, str] = {}
    digest: str | None = None
    media_type: str = ""


def file_name(name: str) -> str:
    """A file name for a canonical name: readable, free of slashes, never longer than allowed."""
    text = name.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")
    if len(text) > _LONGEST_FILE_NAME:
        text = f"{text[:_READABLE_HEAD]}%{encoded(sha256_digest(name.encode()))}"
    return text + _SUFFIX


class Refs:
    """The refs of one store; ``root`` is the store's directory."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "refs"
        self._images = self._folder / "images"
        self._names = self._folder / "names"

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock that every change is made under. Ctrl-C waits until the change is whole.

        Raises
        ------
        StoreIOError
            Where the store cannot be written.
        """
        with _system_errors(self._folder):
            for folder in (self._folder, self._images, self._names):
                folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(
                self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        try:
            with _system_errors(self._folder):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                for folder in (self._images, self._names):
                    _remove_abandoned(folder)
            with _undisturbed():
                yield
        finally:
            os.close(descriptor)

    def images(self) -> tuple[ImageRecord, ...]:
        """Every image, sorted by id."""
        records = (_read(path, _read_image) for path in _documents(self._images))
        return tuple(record for record in records if record is not None)

    def image(self, image_id: str) -> ImageRecord | None:
        """The record of an image, None where there is none."""
        return _read(self._image_path(image_id), _read_image)

    def put_image(self, record: ImageRecord) -> None:
        """Write the record of an image; under :meth:`changing`."""
        value = {"version": VERSION, "config": record.config, "manifest": record.manifest}
        _write(self._image_path(record.config), encode(value))

    def drop_image(self, image_id: str) -> None:
        """Remove the record of an image; under :meth:`changing`."""
        _drop(self._image_path(image_id))

    def names(self) -> tuple[NameRecord, ...]:
        """Every name, sorted."""
        records = (_read(path, _read_name) for path in _documents(self._names))
        return tuple(sorted((r for r in records if r is not None), key=lambda record: record.name))

    def name(self, name: str) -> NameRecord | None:
        """What a canonical name points at, None where it is not there."""
        return _read(self._names / file_name(name), _read_name)

    def put_name(self, record: NameRecord) -> None:
        """Write a name; under :meth:`changing`."""
        value = {
            "version": VERSION,
            "name": record.name,
            "mediaType": record.media_type,
            "digest": record.digest,
            "images": dict(sorted(record.images.items())),
        }
        _write(self._names / file_name(record.name), encode(value))

    def drop_name(self, name: str) -> None:
        """Remove a name; under :meth:`changing`."""
        _drop(self._names / file_name(name))

    def disk_usage(self, image_ids: Collection[str]) -> int:
        """Bytes of disk of the records of images, and of the names that have no other image."""
        doomed = [self._image_path(image_id) for image_id in image_ids]
        doomed += [
            self._names / file_name(record.name)
            for record in self.names()
            if set(image_ids).issuperset(record.images.values())
        ]
        return sum(disk_usage(path) for path in doomed)

    def _image_path(self, image_id: str) -> Path:
        return self._images / (encoded(image_id) + _SUFFIX)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C off to the end of a block; other threads than the main one never see it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    handler = signal.signal(signal.SIGINT, lambda *arguments: caught.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if caught and callable(handler):
        handler(*caught[0])


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreIOError(
            f"{error.filename or path}: {error.strerror}", errno=error.errno
        ) from error


def _documents(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreIOError(f"{folder}: {error.strerror}", errno=error.errno) from error
    return [
        folder / name
        for name in sorted(names)
        if name.endswith(_SUFFIX) and not name.startswith(_TEMPORARY)
    ]


def _read(path: Path, decode: Callable[[Node], _Record]) -> _Record | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreIOError(f"{path}: {error.strerror}", errno=error.errno) from error
    try:
        node = parse(data, str(path))
        version = node.child("version").integer()
        if version != VERSION:
            age = "newer" if version > VERSION else "older"
            raise StoreFormatError(
                f"{path} has version {version}, this release knows version {VERSION} only",
                hint=f"use the {age} fastlayer that wrote it",
            )
        return decode(node)
    except DocumentError as error:
        raise CorruptError(f"{error}", hint="fastlayer fsck checks the store") from error


def _read_image(node: Node) -> ImageRecord:
    return ImageRecord(
        config=node.child("config").text(), manifest=node.optional_text("manifest") or None
    )


def _read_name(node: Node) -> NameRecord:
    return NameRecord(
        name=node.child("name").text(),
        images=node.text_map("images"),
        digest=node.optional_text("digest") or None,
        media_type=node.optional_text("mediaType"),
    )


def _write(path: Path, data: bytes) -> None:
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}"
    with _system_errors(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _drop(path: Path) -> None:
    with _system_errors(path):
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """What a killed process left; nobody else writes while the lock is held."""
    for name in os.listdir(folder):
        if name.startswith(_TEMPORARY):
            (folder / name).unlink(missing_ok=True)
