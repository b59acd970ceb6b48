"""The cache's records, in one SQLite file below the store.

WAL mode, ``BEGIN IMMEDIATE`` for every write, a busy timeout: any number of builds may use the
file at once, from threads and from processes. What is in it can be rebuilt, so a damaged file or
one of a newer version is set aside and an empty one begun. Knows nothing of layers or Dockerfiles.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from fastlayer.errors import StoreIOError
from fastlayer.value import Value

BUSY_SECONDS = 30.0
"""How long a write waits for another process."""

USED_PRECISION = 600.0
"""How exactly it is known when a record was used last, in seconds."""

SCHEMA_VERSION = 3

CACHE_FILE = "cache/build.sqlite"
"""The records of a store, below its directory."""

_SCHEMA = """
CREATE TABLE step (
    key TEXT PRIMARY KEY,
    input_tree TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    tree TEXT NOT NULL,
    created TEXT NOT NULL,
    seconds REAL NOT NULL,
    size INTEGER NOT NULL,
    description TEXT NOT NULL,
    place TEXT NOT NULL,
    base_part TEXT NOT NULL,
    instruction_part TEXT NOT NULL,
    inputs_part TEXT NOT NULL,
    configuration_part TEXT NOT NULL,
    settings TEXT NOT NULL,
    recorded REAL NOT NULL,
    used REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX step_by_result ON step (input_tree, instruction_part, tree);
CREATE INDEX step_by_place ON step (place, recorded);
CREATE TABLE chain_tree (
    chain TEXT PRIMARY KEY,
    tree TEXT NOT NULL,
    used REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE clamped_layer (
    diff_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    clamped TEXT NOT NULL,
    PRIMARY KEY (diff_id, epoch)
) STRICT, WITHOUT ROWID;
"""


class StepRecord(Value, kw_only=False):
    """What a step gave when it last ran."""

    key: str
    input_tree: str
    """Tree id it started from."""
    diff_id: str
    """Its layer."""
    tree: str
    """Tree id of its result."""
    created: str
    """When, as written into the image (RFC 3339)."""
    seconds: float
    """How long it took."""
    size: int
    """Bytes of content in the layer."""
    description: str
    """The instruction, to be shown."""
    place: str
    """Which instruction of which Dockerfile it was: where a miss looks for the last record."""
    parts: Mapping[str, str]
    """Fingerprints of the key's parts: base, instruction, inputs, configuration."""
    settings: Mapping[str, str] = {}
    """A short hash of each setting and named input, by its name."""
    used: float = 0.0
    """When it was last used, seconds since the epoch."""


_COLUMNS = (
    "key, input_tree, diff_id, tree, created, seconds, size, description, place, "
    "base_part, instruction_part, inputs_part, configuration_part, settings, used"
)


class CacheIndex:
    """The records of one store.

    Parameters
    ----------
    path:
        The SQLite file; made with its directory where missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection = self._open()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def find(self, key: str) -> StepRecord | None:
        """The record of a key."""
        return self._one(f"SELECT {_COLUMNS} FROM step WHERE key = ?", (key,))

    def has_any(self, input_tree: str, instruction: str) -> bool:
        """Whether there is a record of an instruction (its fingerprint) on a tree."""
        query = "SELECT 1 FROM step WHERE input_tree = ? AND instruction_part = ? LIMIT 1"
        with self._lock:
            row = self._connection.execute(query, (input_tree, instruction)).fetchone()
        return row is not None

    def find_result(self, input_tree: str, instruction: str, tree: str) -> StepRecord | None:
        """An earlier record of an instruction (its fingerprint) that came from the one tree to the
        other; the oldest, so that all later builds agree on it."""
        return self._one(
            f"SELECT {_COLUMNS} FROM step WHERE input_tree = ? AND instruction_part = ? "
            "AND tree = ? ORDER BY recorded LIMIT 1",
            (input_tree, instruction, tree),
        )

    def last_at(self, place: str) -> StepRecord | None:
        """The newest record of the same instruction, whatever its key."""
        return self._one(
            f"SELECT {_COLUMNS} FROM step WHERE place = ? ORDER BY recorded DESC LIMIT 1",
            (place,),
        )

    def put(self, record: StepRecord) -> None:
        """Keep a record, in the place of one with the same key."""
        now = time.time()
        parts = record.parts
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO step (key, input_tree, diff_id, tree, created, seconds, "
                "size, description, place, base_part, instruction_part, inputs_part, "
                "configuration_part, settings, recorded, used) "
                "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    record.key,
                    record.input_tree,
                    record.diff_id,
                    record.tree,
                    record.created,
                    record.seconds,
                    record.size,
                    record.description,
                    record.place,
                    parts["base"],
                    parts["instruction"],
                    parts["inputs"],
                    parts["configuration"],
                    json.dumps(dict(record.settings)),
                    now,
                    now,
                ),
            )

    def touch(self, keys: list[str], chains: list[str]) -> None:
        """Note that records and chains were used just now, within :data:`USED_PRECISION`.

        A build that finds everything, and soon again, so writes nothing.
        """
        now = time.time()
        keys = self._used_before(now - USED_PRECISION, "step", "key", keys)
        chains = self._used_before(now - USED_PRECISION, "chain_tree", "chain", chains)
        if not keys and not chains:
            return
        with self._write() as connection:
            connection.executemany(
                "UPDATE step SET used = ? WHERE key = ?", [(now, key) for key in keys]
            )
            connection.executemany(
                "UPDATE chain_tree SET used = ? WHERE chain = ?",
                [(now, chain) for chain in chains],
            )

    def _used_before(self, moment: float, table: str, column: str, names: list[str]) -> list[str]:
        query = f"SELECT 1 FROM {table} WHERE {column} = ? AND used < ?"
        with self._lock:
            find = self._connection.execute
            return [name for name in names if find(query, (name, moment)).fetchone() is not None]

    def tree_of(self, chain: str) -> str | None:
        """The tree id remembered for a chain's name."""
        with self._lock:
            row = self._connection.execute(
                "SELECT tree FROM chain_tree WHERE chain = ?", (chain,)
            ).fetchone()
        return None if row is None else str(row[0])

    def remember_tree(self, chain: str, tree: str) -> None:
        """Remember a chain's tree id: it follows from the DiffIDs, so it never changes."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO chain_tree (chain, tree, used) VALUES (?, ?, ?)",
                (chain, tree, time.time()),
            )

    def clamped(self, diff_id: str, epoch: int) -> str | None:
        """What a layer became without times after ``epoch`` seconds."""
        with self._lock:
            row = self._connection.execute(
                "SELECT clamped FROM clamped_layer WHERE diff_id = ? AND epoch = ?",
                (diff_id, epoch),
            ).fetchone()
        return None if row is None else str(row[0])

    def remember_clamped(self, diff_id: str, epoch: int, clamped: str) -> None:
        """Remember it: it follows from the two, so it never changes."""
        with self._write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO clamped_layer (diff_id, epoch, clamped) VALUES (?, ?, ?)",
                (diff_id, epoch, clamped),
            )

    def records(self) -> list[StepRecord]:
        """All records, the last used first."""
        with self._lock:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM step ORDER BY used DESC, key"
            ).fetchall()
        return [_record(row) for row in rows]

    def content_size(self) -> int:
        """Bytes of content in the layers of all records; a layer of several counts once."""
        with self._lock:
            row = self._connection.execute(
                "SELECT total(size) FROM (SELECT max(size) AS size FROM step GROUP BY diff_id)"
            ).fetchone()
        return int(row[0])

    def forget(self, keys: list[str]) -> None:
        """Remove records."""
        with self._write() as connection:
            connection.executemany("DELETE FROM step WHERE key = ?", [(key,) for key in keys])

    def _one(self, query: str, values: tuple[str, ...]) -> StepRecord | None:
        with self._lock:
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else _record(row)

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):  # SQLite may have done so itself
                        self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise _refused("write", self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            os.makedirs(self.path.parent, mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreIOError(
                f"cannot make {self.path.parent}: {error.strerror}", errno=error.errno
            ) from error
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                # Locked, full, or not ours to write: what is in the file is not the reason.
                raise _refused("open", self.path, error) from error
            _set_aside(self.path)
            return _connect(self.path)


def _refused(verb: str, path: Path, error: sqlite3.OperationalError) -> StoreIOError:
    reasons = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO}
    reason = reasons.get(error.sqlite_errorcode & 0xFF)
    if reason is None:
        return StoreIOError(f"cannot {verb} {path}: {error}")
    return StoreIOError(f"cannot {verb} {path}: {os.strerror(reason)}", errno=reason)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _create(connection)
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"cache version {version}")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have made the tables between the look and the lock.
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("tables without a version")
        for statement in _SCHEMA.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _set_aside(path: Path) -> None:
    """Rename a file that cannot be used; the newest such file is kept for whoever asks why."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_name(path.name + ".damaged"))
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(str(path) + ending)


def _record(row: tuple[object, ...]) -> StepRecord:
    (key, input_tree, diff_id, tree, created, seconds, size, description, place) = row[:9]
    base, instruction, inputs, configuration, settings, used = row[9:]
    return StepRecord(
        key=str(key),
        input_tree=str(input_tree),
        diff_id=str(diff_id),
        tree=str(tree),
        created=str(created),
        seconds=float(str(seconds)),
        size=int(str(size)),
        description=str(description),
        place=str(place),
        parts={
            "base": str(base),
            "instruction": str(instruction),
            "inputs": str(inputs),
            "configuration": str(configuration),
        },
        settings=json.loads(str(settings)),
        used=float(str(used)),
    )
