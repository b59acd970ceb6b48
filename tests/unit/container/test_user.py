from __future__ import annotations

import pytest
from fastlayer.container.user import ResolvedUser, resolve, resolve_group
from fastlayer.errors import ContainerError

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
# a comment
broken
app:x:1000:1001:App:/home/app:/bin/sh
1234:x:50:51::/odd:
nohome:x:77:78
"""
GROUP = b"""\
root:x:0:
wheel:x:10:app,other
app:x:1001:
extra:x:20: app
wheel2:x:10:app
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolvedUser(0, 0, (), "/root")),
        ("root", ResolvedUser(0, 0, (), "/root")),
        ("app", ResolvedUser(1000, 1001, (10, 20), "/home/app")),
        ("1000", ResolvedUser(1000, 1001, (10, 20), "/home/app")),
        ("app:wheel", ResolvedUser(1000, 10, (), "/home/app")),
        ("app:55", ResolvedUser(1000, 55, (), "/home/app")),
        ("4000", ResolvedUser(4000, 0, (), "/")),
        ("4000:4001", ResolvedUser(4000, 4001, (), "/")),
        ("1234", ResolvedUser(50, 51, (), "/odd")),
        ("nohome", ResolvedUser(77, 78, (), "/")),
        ("app:", ResolvedUser(1000, 1001, (10, 20), "/home/app")),
    ],
)
def test_resolve(text: str, expected: ResolvedUser) -> None:
    assert resolve(text, PASSWD, GROUP) == expected


def test_an_image_without_files_knows_root_and_numbers() -> None:
    assert resolve("", b"", b"") == ResolvedUser(0, 0, (), "/")
    assert resolve("7:8", b"", b"") == ResolvedUser(7, 8, (), "/")


@pytest.mark.parametrize("text", ["nobody", "app:nogroup", "²", "2147483648", "1:2147483648"])
def test_what_has_no_entry_is_refused(text: str) -> None:
    with pytest.raises(ContainerError):
        resolve(text, PASSWD, GROUP)


def test_a_group_by_name_or_number() -> None:
    assert resolve_group("wheel", GROUP) == 10
    assert resolve_group("999", GROUP) == 999
