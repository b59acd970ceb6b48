"""The machine that is measured on: what it is, and the limits that no program on it can pass."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

from benches.layer_tar import layer_tar
from benches.loop_file_system import fresh_file_system, settle

WRITTEN = 1 << 30
"""Bytes of the write whose speed is told."""

READERS = {
    "SHA-256": ["openssl", "dgst", "-sha256"],
    "BLAKE3": ["b3sum", "--num-threads=1"],
    "zstd -3, one thread": ["zstd", "-3", "-T1", "-q", "-c"],
    "gzip -6, one thread (pigz)": ["pigz", "-6", "-p1", "-c"],
    "reading": ["cat"],
}
"""Programs that are given the layer's tar, which is in memory by then."""


def describe() -> str:
    """One line: processor, memory, kernel, Python, the commit that is measured."""
    return (
        f"{os.cpu_count()} processors ({_processor()}), {_memory_gib():.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}, commit {_commit()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def floors(cache: Path) -> dict[str, str]:
    """Speeds by name, as text; what has no program here is left out."""
    tar = layer_tar(cache)
    found = {}
    for name, words in READERS.items():
        if shutil.which(words[0]):
            seconds = min(_seconds([*words, str(tar)]) for _ in range(2))
            found[name] = f"{tar.stat().st_size / seconds / 1e9:.2f} GB/s"
    with fresh_file_system(cache) as mount:
        words = ["dd", "if=/dev/zero", f"of={mount / 'file'}", "bs=1M", f"count={WRITTEN >> 20}"]
        started = time.perf_counter()
        subprocess.run([*words, "status=none"], check=True)
        settle(mount)
        speed = WRITTEN / (time.perf_counter() - started)
    found["dd and sync"] = f"{speed / 1e9:.2f} GB/s"
    return found


def _seconds(words: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
