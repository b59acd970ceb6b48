"""A build that two builders are given alike: a Dockerfile, a context, and the call's options.

What both get is changed in the same way, for a machine without a network: ``# syntax`` lines are
taken out (the old engine would fetch a frontend), digests of base images too (the bases are
stand-ins), and the addresses of web files point to a server of the test.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STAMP = 1_485_449_953
"""The mtime of what a prepared context holds, seconds: 2017-01-26."""

_SYNTAX = re.compile(rb"^#[ \t]*syntax[ \t]*=.*\r?\n", re.IGNORECASE | re.MULTILINE)
_DIGEST = re.compile(rb"@sha256:[0-9a-f]{64}")
_WEB = re.compile(rb"https?://[^/\s]+")


@dataclass(frozen=True, slots=True)
class BuildCase:
    """One case.

    ``context`` is a folder, a tar, or folders to lay side by side. ``dockerfile`` is a path in the
    context unless ``text`` is its content; ``ignore`` is that of an ignore file beside it.
    ``fails`` says that the build must fail, ``line`` at which line of the original, 0 for any.
    ``classic`` chooses the engine's old builder.
    """

    id: str
    name: str
    context: Path | tuple[Path, ...]
    dockerfile: str = "Dockerfile"
    text: bytes | None = None
    ignore: bytes = b""
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    target: str = ""
    fails: bool = False
    line: int = 0
    classic: bool = False


@dataclass(frozen=True, slots=True)
class PreparedCase:
    """A case laid out: the context's folder, the Dockerfile's path, the line that must fail.

    ``rewritten`` is a Dockerfile for an engine that does not understand the case's.
    """

    case: BuildCase
    context: Path
    dockerfile: Path
    line: int
    rewritten: Path | None = None

    @property
    def secret_flags(self) -> list[str]:
        """The flags that hand the case's secrets to a builder."""
        folder = self.context.parent
        return [f"--secret=id={name},src={folder}/secret-{name}" for name in self.case.secrets]


def prepare(case: BuildCase, folder: Path, web: str) -> PreparedCase:
    """Lay the case out below ``folder``; ``web`` is the server that stands for the network."""
    context = folder / "context"
    if isinstance(case.context, tuple):
        for part in case.context:
            shutil.copytree(part, context / part.name, symlinks=True)
        context.mkdir(exist_ok=True)
        _make_plain(context)
    elif case.context.is_dir():
        shutil.copytree(case.context, context, symlinks=True)
        _make_plain(context)
    else:
        context.mkdir()
        with tarfile.open(case.context) as archive:
            archive.extractall(context, filter="fully_trusted")
        _set_xattrs(case.context, context)
    dockerfile = context / case.dockerfile
    original = case.text if case.text is not None else dockerfile.read_bytes()
    text = adapt(original, web)
    dockerfile.parent.mkdir(parents=True, exist_ok=True)
    dockerfile.write_bytes(text)
    if case.ignore:
        dockerfile.with_name(f"{dockerfile.name}.dockerignore").write_bytes(case.ignore)
    os.utime(dockerfile, (STAMP, STAMP))
    os.utime(context, (STAMP, STAMP))
    for name, content in case.secrets.items():
        (folder / f"secret-{name}").write_bytes(content)
    gone = original.count(b"\n") - text.count(b"\n")
    return PreparedCase(case, context, dockerfile, max(0, case.line - gone))


def adapt(text: bytes, web: str) -> bytes:
    """The Dockerfile as both builders get it."""
    head, body = _SYNTAX.sub(b"", text, count=1), b""
    lines = []
    for line in head.splitlines(keepends=True):
        word = line.split(maxsplit=1)[:1]
        if word and word[0].upper() == b"FROM":
            line = _DIGEST.sub(b"", line)
        lines.append(line)
    body = b"".join(lines)
    return _WEB.sub(web.encode(), body)


def _make_plain(folder: Path) -> None:
    """Give what was copied the modes and times of a fresh checkout."""
    for path in [folder, *sorted(folder.rglob("*"), reverse=True)]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (STAMP, STAMP), follow_symlinks=False)


def _set_xattrs(source: Path, folder: Path) -> None:
    """Set the extended attributes that a tar names: the tar library leaves them out."""
    with tarfile.open(source) as archive:
        for member in archive:
            for key, value in member.pax_headers.items():
                if key.startswith("SCHILY.xattr."):
                    name = key.removeprefix("SCHILY.xattr.")
                    raw = value.encode("utf-8", "surrogateescape")
                    os.setxattr(folder / member.name, name, raw, follow_symlinks=False)
                    mtime = int(member.mtime)
                    os.utime(folder / member.name, (mtime, mtime), follow_symlinks=False)
