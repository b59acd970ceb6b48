"""The stat cache, and what exports leave, read by the second reader."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.conformance.formats.reader.hashes import content_id
from tests.conformance.formats.reader.stat_cache import StatRow, read_stat_cache
from tests.conformance.formats.sample import Sample
from tests.conformance.formats.test_layers import assert_found


def cache_of(sample: Sample) -> dict[tuple[int, int], StatRow]:
    return max((read_stat_cache(path.read_bytes()) for path in files(sample)), key=len)


def files(sample: Sample) -> list[Path]:
    return sorted((sample.root / "cache" / "contexts").iterdir())


def test_the_stat_cache_knows_every_file_of_the_context(sample: Sample) -> None:
    cache = cache_of(sample)
    known = 0
    for path in sorted(sample.context.rglob("*")):
        status = path.lstat()
        row = cache[status.st_dev, status.st_ino]
        assert row.size == status.st_size
        assert row.changed == divmod(status.st_mtime_ns, 10**9)
        assert row.inode_changed == divmod(status.st_ctime_ns, 10**9)
        assert row.mode == status.st_mode
        assert not row.has_attributes
        if row.content is not None:
            assert stat.S_ISREG(status.st_mode)
            assert row.content == content_id(path.read_bytes())
            known += 1
    assert known > 500


def test_a_flipped_bit_of_a_stat_cache_is_found(sample: Sample) -> None:
    smallest = min(files(sample), key=lambda path: path.stat().st_size)
    assert_found(smallest.read_bytes(), read_stat_cache)
