"""Ranges of subordinate ids, and what newuidmap is told."""

from __future__ import annotations

from fastlayer.container.user_namespace import IdRange, map_arguments, read_ranges

FILE = """\
# a comment
alice:100000:65536
bob:165536:65536
1000:300000:10
alice:many:1
alice:1
"""


def test_ranges_are_the_users_by_name_or_number() -> None:
    assert read_ranges(FILE, ["alice", "1000"]) == (IdRange(100000, 65536), IdRange(300000, 10))
    assert read_ranges(FILE, ["carol"]) == ()
    assert read_ranges("", ["alice"]) == ()


def test_root_is_the_user_and_the_ranges_follow() -> None:
    ranges = (IdRange(100000, 65536), IdRange(300000, 10))
    words = "0 1000 1 1 100000 65536 65537 300000 10"
    assert map_arguments(1000, ranges) == words.split()
    assert map_arguments(1000, ()) == ["0", "1000", "1"]
