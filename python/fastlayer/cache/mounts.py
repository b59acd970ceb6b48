"""The cache mounts of a store: what ``RUN --mount=type=cache`` keeps between builds.

A cache mount is a directory below ``cache/mounts`` (docs/formats/build-cache.md). Whoever uses it
holds its lock shared from before the first look into it to the last; it is removed under the
exclusive lock alone, and leaves its place by a rename, so nobody ever finds a half of it. Knows
nothing of steps, nor of what is in a cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path

from fastlayer.store import discard_tree, disk_usage
from fastlayer.value import Value

FOLDER = "cache/mounts"
"""Where the cache mounts of a store are, below its directory."""

_TRASH = "trash"
_LOCK = "lock"
_IDENTITY = "id"
_SIZE = "size"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class CacheMountRecord(Value, kw_only=False):
    """A cache mount. ``size`` is bytes of disk, ``used`` when it was last used (seconds since the
    epoch), ``in_use`` whether a step uses it now."""

    key: str
    identity: str
    size: int
    used: float
    in_use: bool


class CacheMountUse:
    """The use of one cache mount; :meth:`CacheMounts.use` begins it, :meth:`close` ends it."""

    def __init__(self, home: Path, lock: int) -> None:
        self.home = home
        self._locks = [lock]

    def place(self, sharing: str, *, alone: bool) -> Path:
        """A directory in it that is ours as ``sharing`` asks, until the use ends.

        Parameters
        ----------
        sharing:
            ``shared``, ``locked`` (waits until nobody else has it) or ``private`` (one that nobody
            else has).
        alone:
            Whether even a shared one must be had alone.
        """
        number = 0
        while True:
            place = self.home / str(number)
            place.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(place / _LOCK, _LOCK_FLAGS, 0o600)
            self._locks.append(lock)
            if sharing == "shared" and not alone:
                fcntl.flock(lock, fcntl.LOCK_SH)
                return place
            if sharing in {"shared", "locked"}:
                fcntl.flock(lock, fcntl.LOCK_EX)
                return place
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return place
            except BlockingIOError:
                number += 1

    def close(self) -> None:
        """End the use; the mount counts as used until now."""
        with contextlib.suppress(OSError):
            os.utime(self._locks[0])
        while self._locks:
            os.close(self._locks.pop())


class CacheMounts:
    """The cache mounts of one store; ``root`` is the store's directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / FOLDER

    def use(self, identity: str) -> CacheMountUse:
        """Begin to use the mount of an identity; made where there is none.

        Raises
        ------
        OSError
            It cannot be made.
        """
        home = self._folder / hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(home, 0o700)
            try:
                lock = os.open(home / _LOCK, _LOCK_FLAGS, 0o600)
            except FileNotFoundError:
                continue  # removed between the two
            fcntl.flock(lock, fcntl.LOCK_SH)
            if _is_at(lock, home / _LOCK):
                break
            os.close(lock)  # removed before we had the lock
        os.utime(lock)
        use = CacheMountUse(home, lock)
        name = home / _IDENTITY
        try:
            if not name.exists():
                name.write_text(identity)
        except BaseException:
            use.close()
            raise
        return use

    def records(self) -> list[CacheMountRecord]:
        """All of them, the last used first, measured now."""
        found = []
        for home in self._homes():
            with contextlib.suppress(FileNotFoundError):
                found.append(_record(home))
        return sorted(found, key=lambda record: (-record.used, record.key))

    def size(self) -> int:
        """Bytes of disk of all of them; only those that were used since are measured again."""
        total = 0
        for home in self._homes():
            with contextlib.suppress(FileNotFoundError):
                total += _known_size(home)
        return total

    def remove(self, key: str) -> int | None:
        """Remove a mount, unless it is in use or gone; gives the bytes of disk given back.

        Raises
        ------
        StoreIOError
            It cannot be measured.
        OSError
            It cannot be moved away.
        """
        home = self._folder / key
        doomed = self._root / _TRASH / f"mount-{os.urandom(8).hex()}"
        with contextlib.ExitStack() as held:
            try:
                lock = os.open(home / _LOCK, _LOCK_FLAGS, 0o600)
            except FileNotFoundError:
                return None
            held.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            if not _is_at(lock, home / _LOCK):
                return None
            os.rename(home, doomed)
        size = disk_usage(doomed)
        discard_tree(doomed)
        return size - disk_usage(doomed)

    def _homes(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []


def _record(home: Path) -> CacheMountRecord:
    identity = home / _IDENTITY
    return CacheMountRecord(
        key=home.name,
        identity=identity.read_text() if identity.exists() else "",
        size=disk_usage(home),
        used=_used(home),
        in_use=_is_in_use(home),
    )


def _used(home: Path) -> float:
    try:
        return (home / _LOCK).stat().st_mtime
    except FileNotFoundError:
        return home.stat().st_mtime


def _is_in_use(home: Path) -> bool:
    try:
        lock = os.open(home / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _known_size(home: Path) -> int:
    """What a mount was measured to have after its last use."""
    note = home / _SIZE
    with contextlib.suppress(FileNotFoundError, ValueError):
        if note.stat().st_mtime > _used(home):
            return int(note.read_text())
    size = disk_usage(home)
    with contextlib.suppress(OSError):  # on a full disk it is measured again
        note.write_text(str(size))
    return size


def _is_at(lock: int, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(lock)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
