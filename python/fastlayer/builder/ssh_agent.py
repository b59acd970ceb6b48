"""A socket that stands for the user's SSH agent inside one step.

The agent's own socket belongs to the user and is not shown to the step: bytes are passed between
the two, so that owner and mode are the mount's, and no connection outlives the step.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from pathlib import Path

from fastlayer.errors import BuildError

_CHUNK = 65536


class AgentSocket:
    """Listens at a path, and passes every connection on to an agent, until it is closed.

    Parameters
    ----------
    agent:
        The agent's socket.
    path:
        The socket to make.
    mode, uid, gid:
        What it bears.

    Raises
    ------
    BuildError
        Nobody listens at the agent's socket.
    """

    def __init__(self, agent: str, path: Path, *, mode: int, uid: int, gid: int) -> None:
        self._agent = agent
        _connect(agent).close()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(str(path))
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        self._listener.listen()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True, name="ssh agent").start()

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            sockets = {self._listener, *self._open}
        for one in sockets:
            # Whoever waits for it wakes up; only then may its number be used again.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, BuildError), _connect(self._agent) as agent:
            with self._lock:
                self._open |= {client, agent}
            try:
                _relay(client, agent)
            finally:
                with self._lock:
                    self._open -= {client, agent}


def _relay(client: socket.socket, agent: socket.socket) -> None:
    """Pass bytes both ways until both sides have ended theirs."""
    other = {client: agent, agent: client}
    with selectors.DefaultSelector() as selector:
        for one in other:
            selector.register(one, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                source = key.fileobj
                assert isinstance(source, socket.socket)
                data = source.recv(_CHUNK)
                if data:
                    other[source].sendall(data)
                else:
                    selector.unregister(source)
                    other[source].shutdown(socket.SHUT_WR)


def _connect(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.connect(path)
    except OSError as error:
        made.close()
        raise BuildError(
            f"the SSH agent at {path} does not answer: {error.strerror}",
            hint="start one with: eval $(ssh-agent) && ssh-add",
        ) from error
    return made
