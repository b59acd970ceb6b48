"""ADD from the network: files of URLs, and files of git repositories.

A file of a URL is of mode 0600 and has the time that its server tells; it is unpacked only where
``--unpack`` asks for it. A key covers a file's digest or a repository's commit, so that nothing is
fetched for a step that is in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastlayer.builder.graph import Fetch, Place
from fastlayer.builder.transfer import Begin
from fastlayer.dockerfile import Add
from fastlayer.dockerfile.transfers import is_remote
from fastlayer.errors import DockerfileError, UsageError
from fastlayer.store import Context, CopySource

if TYPE_CHECKING:
    from fastlayer.builder.remote_files import RemoteFiles

FILE_MODE = 0o600
"""Mode of a fetched file."""

_COMMIT_HEAD = re.compile(r"[0-9a-f]{4,64}")


def plan_fetches(instruction: Add, place: Place) -> tuple[tuple[str, ...], tuple[Fetch, ...]]:
    """Split the sources of an ADD into paths of the context, and what is to be fetched.

    Raises
    ------
    DockerfileError
        A checksum or a URL is not understood, or a flag does not fit its source.
    """
    local: list[str] = []
    fetches: list[Fetch] = []
    for position, source in enumerate(instruction.sources):
        if not is_remote(source):
            local.append(source)
            continue
        try:
            fetches.append(_fetch(instruction, source, position))
        except UsageError as error:
            raise DockerfileError(
                f"ADD {source}: {error.message}", hint=error.hint, file=place.file, line=place.line
            ) from error
    if instruction.keep_git_dir is not None and not any(fetch.git for fetch in fetches):
        raise DockerfileError(
            "ADD --keep-git-dir needs a git repository as its source",
            file=place.file,
            line=place.line,
        )
    return tuple(local), tuple(fetches)


def _fetch(instruction: Add, source: str, position: int) -> Fetch:
    from fastlayer.transport.git import parse_git
    from fastlayer.transport.http import parse_checksum

    git = parse_git(source)
    checksum = instruction.checksum
    if git is None:
        if checksum:
            parse_checksum(checksum)
        return Fetch(
            position=position, url=source, checksum=checksum, unpack=instruction.unpack is True
        )
    if instruction.unpack is not None:
        raise UsageError("--unpack is for files, and this is a git repository")
    if checksum and not _COMMIT_HEAD.fullmatch(checksum):
        raise UsageError(f"checksum {checksum} is not the beginning of a commit")
    return Fetch(
        position=position,
        url=git.url,
        git=git.replace(checksum=checksum) if checksum else git,
        keep_git=instruction.keep_git_dir is True,
    )


def fetch_keys(fetches: Sequence[Fetch], remote: RemoteFiles, begin: Begin) -> tuple[str, ...]:
    """What fetched sources add to a key; servers are asked what they have now.

    ``begin`` tells of a download.

    Raises
    ------
    DownloadError
        It cannot be found out, or is not what the checksum says.
    """
    keys = []
    for fetch in fetches:
        if fetch.git is not None:
            commit = remote.commit(fetch.git)
            keys.append(f"git {commit} {fetch.keep_git} {fetch.git.directory}")
        else:
            from fastlayer.transport.http import file_name

            file = remote.web_file(fetch.url, fetch.checksum, begin)
            name = file_name(fetch.url)
            keys.append(f"file {file.digest} {file.mtime} {fetch.unpack} {name}")
    return tuple(keys)


def fetched_source(fetch: Fetch, remote: RemoteFiles, begin: Begin) -> CopySource:
    """A fetched source for the store to copy; ``begin`` tells of a download.

    Raises
    ------
    DownloadError
        It cannot be fetched.
    """
    if fetch.git is not None:
        tree = remote.tree(fetch.git, keep_git=fetch.keep_git)
        return CopySource.context(Context(str(tree)), b"/")
    from fastlayer.transport.http import file_name

    file = remote.web_file(fetch.url, fetch.checksum)
    return CopySource.file(
        str(remote.content(fetch.url, file, begin)),
        file_name(fetch.url).encode("utf-8", "surrogateescape"),
        FILE_MODE,
        file.mtime,
        fetch.unpack,
    )
