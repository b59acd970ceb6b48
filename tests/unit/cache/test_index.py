"""The records in SQLite: kept, found, shared between threads and processes, and replaceable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fastlayer.cache.index import CacheIndex, StepRecord

from tests.support.requirements import REPOSITORY

RECORD = StepRecord(
    key="k1",
    input_tree="t0",
    diff_id="sha256:1",
    tree="t1",
    created="2026-01-01T00:00:00Z",
    seconds=1.5,
    size=10,
    description="RUN make",
    place="p",
    parts={"base": "t0", "instruction": "i", "inputs": "n", "configuration": "c"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "build.sqlite"


def test_a_record_comes_back(path: Path) -> None:
    index = CacheIndex(path)
    index.put(RECORD)
    found = index.find("k1")
    assert found is not None
    assert found.replace(used=0.0) == RECORD
    assert found.used > 0
    assert index.find("k2") is None
    index.close()
    again = CacheIndex(path)
    assert again.find("k1") == found


def test_results_are_found_by_trees_and_instruction_the_oldest_first(path: Path) -> None:
    index = CacheIndex(path)
    index.put(RECORD)
    index.put(RECORD.replace(key="k2", diff_id="sha256:2"))
    found = index.find_result("t0", "i", "t1")
    assert found is not None
    assert found.diff_id == "sha256:1"
    assert index.find_result("t0", "other", "t1") is None
    assert index.find_result("t1", "i", "t1") is None
    last = index.last_at("p")
    assert last is not None
    assert last.key == "k2"


def test_trees_of_chains_and_forgetting(path: Path) -> None:
    index = CacheIndex(path)
    assert index.tree_of("c") is None
    index.remember_tree("c", "t")
    assert index.tree_of("c") == "t"
    index.put(RECORD)
    index.touch(["k1"], ["c"])
    assert [record.key for record in index.records()] == ["k1"]
    index.forget(["k1"])
    assert index.records() == []


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b""])
def test_a_damaged_file_is_set_aside(path: Path, damage: bytes) -> None:
    index = CacheIndex(path)
    index.put(RECORD)
    index.close()
    path.write_bytes(damage)
    again = CacheIndex(path)
    assert again.find("k1") is None
    again.put(RECORD)
    assert again.find("k1") is not None
    if damage:
        assert path.with_name("build.sqlite.damaged").read_bytes() == damage


def test_a_file_of_a_newer_version_is_set_aside(path: Path) -> None:
    CacheIndex(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert CacheIndex(path).find("k1") is None
    assert path.with_name("build.sqlite.damaged").exists()


def test_many_threads_write(path: Path) -> None:
    index = CacheIndex(path)

    def write(number: int) -> None:
        for step in range(10):
            index.put(RECORD.replace(key=f"{number}-{step}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index.records()) == 80


def test_many_processes_begin_and_write_at_once(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from fastlayer.cache.index import CacheIndex\n"
        "from tests.unit.cache.test_index import RECORD\n"
        "index = CacheIndex(Path(sys.argv[1]))\n"
        "for step in range(10): index.put(RECORD.replace(key=f'{sys.argv[2]}-{step}'))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(number)], cwd=REPOSITORY)
        for number in range(6)
    ]
    assert [process.wait() for process in running] == [0] * 6
    assert len(CacheIndex(path).records()) == 60
