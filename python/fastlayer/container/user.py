"""Who a process is: docker's reading of ``USER`` and ``-u`` from the image's own files.

Pure: the bytes of ``/etc/passwd`` and ``/etc/group`` in, numbers out. The files come from the
image and are not trusted: a line that is malformed is skipped, as docker does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastlayer.errors import ContainerError

MAXIMUM_ID = 2**31 - 1
"""The largest user or group number that docker accepts."""

MAXIMUM_FILE_SIZE = 10 * 1024 * 1024
"""Bytes of a passwd or group file that are read at most."""


@dataclass(frozen=True, slots=True)
class ResolvedUser:
    """Numbers for the kernel, and the home directory for ``$HOME``."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Account:
    name: bytes
    uid: int
    gid: int
    home: bytes


@dataclass(frozen=True, slots=True)
class _Group:
    name: bytes
    gid: int
    members: tuple[bytes, ...]


def resolve(text: str, passwd: bytes, group_file: bytes) -> ResolvedUser:
    """Resolve ``user``, ``uid``, ``user:group``, ``uid:gid`` or nothing (root).

    A number needs no entry; where an entry has that number, its group and home are taken. The
    supplementary groups are those that list the user, unless a group was named.

    Raises
    ------
    ContainerError
        A name has no entry, or a number is out of range.
    """
    user_text, _, group_text = text.partition(":")
    account = _find_account(user_text, passwd)
    if account is not None:
        uid, gid, home = account.uid, account.gid, account.home.decode("utf-8", "replace") or "/"
    else:
        uid, gid, home = _number(user_text, "user", "passwd"), 0, "/"
    if group_text:
        gid = _find_group(group_text, group_file)
        return ResolvedUser(uid, gid, (), home)
    groups: tuple[int, ...] = ()
    if account is not None:
        groups = tuple(
            dict.fromkeys(g.gid for g in _groups(group_file) if account.name in g.members)
        )
    return ResolvedUser(uid, gid, groups, home)


def resolve_group(text: str, group_file: bytes) -> int:
    """The number of a group given by name or number (``--group-add``)."""
    return _find_group(text, group_file)


def _find_account(text: str, passwd: bytes) -> _Account | None:
    name = text.encode("utf-8", "surrogateescape")
    number = int(text) if _is_number(text) else None
    for account in _accounts(passwd):
        if not text:
            if account.uid == 0:
                return account
        elif account.name == name or account.uid == number:
            return account
    if not text:
        return _Account(b"root", 0, 0, b"/")
    return None


def _find_group(text: str, group_file: bytes) -> int:
    name = text.encode("utf-8", "surrogateescape")
    number = int(text) if _is_number(text) else None
    for group in _groups(group_file):
        if group.name == name or group.gid == number:
            return group.gid
    return _number(text, "group", "group")


def _number(text: str, what: str, file: str) -> int:
    if not _is_number(text):
        raise ContainerError(
            f"unable to find {what} {text}: no matching entries in the image's /etc/{file}",
            hint=f"create the {what} in the image, or give its number",
        )
    if int(text) > MAXIMUM_ID:
        raise ContainerError(f"{what} {text} is out of the range 0-{MAXIMUM_ID}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _accounts(data: bytes) -> Iterator[_Account]:
    for fields in _lines(data):
        if len(fields) >= 4 and fields[2].isdigit() and fields[3].isdigit():
            home = fields[5] if len(fields) > 5 else b""
            yield _Account(fields[0], int(fields[2]), int(fields[3]), home)


def _groups(data: bytes) -> Iterator[_Group]:
    for fields in _lines(data):
        if len(fields) >= 3 and fields[2].isdigit():
            members = fields[3].split(b",") if len(fields) > 3 else []
            yield _Group(fields[0], int(fields[2]), tuple(m.strip() for m in members if m.strip()))


def _lines(data: bytes) -> Iterator[list[bytes]]:
    for line in data.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith(b"#"):
            yield stripped.split(b":")
