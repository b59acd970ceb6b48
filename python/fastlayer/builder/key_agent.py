"""``--ssh ID=KEY``: an agent of the build's own for private keys that no agent holds.

OpenSSH's ``ssh-agent`` holds the keys while the build lasts; it signs and never gives a key away,
so a step can use a key as long as it runs and not take it along. Where the path is a socket, an
agent is there already.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from fastlayer.errors import BuildError, UsageError

START_SECONDS = 5.0
"""How long an agent may take to listen."""


@contextlib.contextmanager
def agent_sockets(given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The sockets of agents, by id, for as long as the context lasts.

    Parameters
    ----------
    given:
        By id: the path of a socket, or those of private keys with commas between them.

    Raises
    ------
    UsageError
        A path is not there, or is neither.
    BuildError
        There is no ``ssh-agent``, or it does not take a key.
    """
    with contextlib.ExitStack() as stack:
        yield {
            identity: paths if _is_socket(paths) else stack.enter_context(_agent(identity, paths))
            for identity, paths in given.items()
        }


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def _agent(identity: str, paths: str) -> Iterator[str]:
    keys = paths.split(",")
    for key in keys:
        _check(identity, key)
    program = shutil.which("ssh-agent")
    if program is None or shutil.which("ssh-add") is None:
        raise BuildError(
            f"the SSH key {paths} cannot be used: there is no ssh-agent and ssh-add",
            hint="install OpenSSH's client",
        )
    with tempfile.TemporaryDirectory(prefix="fastlayer-agent-") as folder:
        socket = f"{folder}/agent"
        process = subprocess.Popen(
            [program, "-D", "-a", socket],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(Path(socket), process)
            for key in keys:
                _add(key, socket)
            yield socket
        finally:
            process.terminate()
            process.wait()


def _check(identity: str, path: str) -> None:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UsageError(f"SSH agent {identity}: {path}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"SSH agent {identity}: {path} is neither the socket of an agent nor a private key",
            hint="give $SSH_AUTH_SOCK, or the file of a key",
        )


def _wait_for(socket: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise BuildError("ssh-agent does not start")
        time.sleep(0.005)


def _add(key: str, socket: str) -> None:
    """Give a key to the agent. ssh-add refuses a key that others can read, so it gets the bytes."""
    done = subprocess.run(
        ["ssh-add", "-q", "-"],
        input=Path(key).read_bytes(),
        capture_output=True,
        # Without these it asks nobody for a passphrase, neither on a terminal nor in a window.
        env={
            **{name: value for name, value in os.environ.items() if name != "DISPLAY"},
            "SSH_AUTH_SOCK": socket,
            "SSH_ASKPASS_REQUIRE": "never",
        },
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BuildError(
            f"the SSH key {key} cannot be used: {said[-1] if said else 'ssh-add failed'}",
            hint="a key with a passphrase must be added to an agent first: ssh-add FILE",
        )
