"""Files of git repositories, by the git program on ``PATH``.

A source names a repository, a ref and a directory in it. First its commit is found, which takes no
download; then the files of the commit are checked out, all with the commit's time, so that the same
commit is the same files. The user's and the system's git settings do not count, but for how ssh
authenticates.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from fastlayer.errors import DownloadError, UsageError
from fastlayer.value import Value

_SCP = re.compile(r"(?P<user>[\w.-]+@)(?P<host>[\w.-]+):(?P<path>[^/].*|/.*)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_QUERY = frozenset({"ref", "branch", "tag", "subdir", "checksum", "commit"})
_SETTINGS = (
    *("-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main"),
    *("-c", "core.autocrlf=false", "-c", "core.hooksPath=/dev/null"),
)


class GitSource(Value):
    """Files of a repository."""

    url: str
    """As git takes it."""
    ref: str = ""
    """A branch, a tag or a commit; ``HEAD`` where empty."""
    directory: str = ""
    """A directory in the repository; all of it where empty."""
    checksum: str = ""
    """The beginning of the commit that the ref must be; empty for any."""

    def __str__(self) -> str:
        return self.url + (f"#{self.ref}" if self.ref else "")


def parse_git(text: str) -> GitSource | None:
    """Read ``https://host/x.git#ref:directory``, ``git@host:x.git``, ``?ref=…&subdir=…`` forms.

    Returns
    -------
    ``None`` where the text does not name a repository. An http URL does when its path ends with
    ``.git``.

    Raises
    ------
    UsageError
        A word behind the ``?`` is not known.
    """
    scheme = text.partition("://")[0] if "://" in text else ""
    if not scheme and not _SCP.fullmatch(text.partition("#")[0]):
        return _local_hub(text)
    if scheme not in {"", "git", "ssh", "http", "https", "file", "git+ssh"}:
        return None
    address, _, fragment = text.partition("#")
    bare, _, query = address.partition("?")
    if scheme in {"http", "https", "file"} and not bare.rstrip("/").endswith(".git"):
        return None
    ref, _, directory = fragment.partition(":")
    source = GitSource(url=bare if query else address, ref=ref, directory=directory)
    return _with_query(source, query, text) if query else source


def _local_hub(text: str) -> GitSource | None:
    """``github.com/x/y``, which docker takes for a repository though it is no URL."""
    if text.startswith("github.com/"):
        return parse_git(f"https://{text}" if ".git" in text else _with_ending(text))
    return None


def _with_ending(text: str) -> str:
    path, mark, fragment = text.partition("#")
    return f"https://{path.rstrip('/')}.git{mark}{fragment}"


def _with_query(source: GitSource, query: str, text: str) -> GitSource:
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in _QUERY:
            raise UsageError(
                f"{text}: {key} is not known", hint=f"one of {', '.join(sorted(_QUERY))}"
            )
        if key == "subdir":
            source = source.replace(directory=value)
        elif key in {"checksum", "commit"}:
            source = source.replace(checksum=value)
        else:
            head = {"branch": "refs/heads/", "tag": "refs/tags/"}.get(key, "")
            source = source.replace(ref=head + value)
    return source


class Git:
    """Runs git.

    Parameters
    ----------
    agent:
        The socket of an SSH agent; the one of the environment where it is empty.

    Raises
    ------
    DownloadError
        There is no git program.
    """

    def __init__(self, agent: str = "") -> None:
        program = shutil.which("git")
        if program is None:
            raise DownloadError("there is no git on PATH", hint="install git")
        self._program = program
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
            "LC_ALL": "C",
        }
        if agent:
            self._environment["SSH_AUTH_SOCK"] = agent

    def commit(self, source: GitSource) -> str:
        """The commit that a source is now.

        Raises
        ------
        DownloadError
            The repository cannot be reached, or has no such ref, or the ref is another commit than
            the checksum says.
        """
        found = source.ref if _COMMIT.fullmatch(source.ref) else self._look_up(source)
        if not found.startswith(source.checksum):
            raise DownloadError(
                f"{source}: it is the commit {found}, and {source.checksum} was wanted"
            )
        return found

    def checkout(self, source: GitSource, commit: str, target: Path, *, keep_git: bool) -> None:
        """Check a commit out below ``target``, which must be empty.

        Parameters
        ----------
        source, commit:
            What to check out.
        target:
            The directory to do it in.
        keep_git:
            Whether ``.git`` stays there.

        Raises
        ------
        DownloadError
            The commit cannot be fetched.
        """
        run = self._run
        where = ("-C", str(target))
        run("init", "--quiet", str(target))
        run(*where, "remote", "add", "--", "origin", source.url)
        self._fetch(where, source, commit)
        run(*where, "checkout", "--quiet", commit)
        if (target / ".gitmodules").exists():
            run(*where, "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
        time = int(run(*where, "show", "--no-patch", "--format=%ct", commit).split()[-1])
        if not keep_git:
            for inner in sorted(target.rglob(".git")):
                shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
        _set_times(target, time)

    def _look_up(self, source: GitSource) -> str:
        ref = source.ref or "HEAD"
        listed = self._run("ls-remote", "--", source.url, ref, f"{ref}^{{}}")
        refs = {
            name: value for value, _, name in (row.partition("\t") for row in listed.split("\n"))
        }
        for name in (ref, f"refs/{ref}", f"refs/tags/{ref}", f"refs/heads/{ref}"):
            # A tag with a message is an object of its own: behind ^{} is its commit.
            for candidate in (f"{name}^{{}}", name):
                if candidate in refs:
                    return refs[candidate]
        raise DownloadError(f"{source.url}: there is no branch or tag {ref}")

    def _fetch(self, where: tuple[str, str], source: GitSource, commit: str) -> None:
        """Get a commit; with as little history as the server gives."""
        fetch = (*where, "fetch", "--quiet", "--no-tags")
        for attempt in (
            ("--depth=1", "origin", commit),
            ("--depth=1", "origin", source.ref or "HEAD"),
            ("origin", "+refs/*:refs/fetched/*"),
        ):
            try:
                self._run(*fetch, *attempt)
            except DownloadError:
                if len(attempt) == 2:
                    raise
                continue
            if self._has(where, commit):
                return
        raise DownloadError(f"{source.url}: there is no commit {commit}")

    def _has(self, where: tuple[str, str], commit: str) -> bool:
        try:
            self._run(*where, "cat-file", "-e", f"{commit}^{{commit}}")
        except DownloadError:
            return False
        return True

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *_SETTINGS, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason"]
            told = next((line for line in lines if line.startswith("fatal: ")), lines[-1])
            verb = next(word for word in arguments if word not in {"-C"} and "/" not in word)
            raise DownloadError(f"git {verb}: {told.removeprefix('fatal: ')}")
        return done.stdout.decode("utf-8", "surrogateescape")


def directory_of(source: GitSource, target: Path) -> Path:
    """The directory that a source names in its files, which are below ``target``.

    Raises
    ------
    DownloadError
        There is none.
    """
    found = (target / source.directory.lstrip("/")).resolve()
    if not found.is_relative_to(target.resolve()) or not found.is_dir():
        raise DownloadError(f"{source}: there is no directory {source.directory}")
    return found


def _set_times(target: Path, time: int) -> None:
    for folder, directories, files in os.walk(target, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(folder, name), (time, time), follow_symlinks=False)
    os.utime(target, (time, time))
