"""The process that stays with a container: starts it, keeps its log, reaps it, writes its end.

Started by ``lifecycle`` with the container's lock held on an inherited descriptor: the lock is
freed by the kernel when this process ends, however it ends, and nothing else says whether a
container runs. One monitor a container and start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from fastlayer.container import attach
from fastlayer.container.attach import Kind
from fastlayer.container.document import timestamp
from fastlayer.container.drivers import StepDriver, find_driver
from fastlayer.container.launch import Launched, launch
from fastlayer.container.log import LogWriter
from fastlayer.container.registry import Container, ContainerRegistry
from fastlayer.container.relay import Relay
from fastlayer.container.subreaper import become_subreaper
from fastlayer.errors import ContainerError, FastlayerError
from fastlayer.store import MountNamespace, Store


class Monitor:
    """One start of one container.

    Parameters
    ----------
    store:
        The store that holds it.
    container:
        The container; its lock is ours.
    client:
        The connection of the command that asked for the start.
    """

    def __init__(self, store: Store, container: Container, client: socket.socket) -> None:
        self._store = store
        self._container = container
        self._client = client

    def run(self, lock: int, size: tuple[int, int] | None) -> None:
        """Start the process, relay until it ends, write down how, free the lock, tell clients."""
        namespace = MountNamespace()
        try:
            driver = find_driver(self._store.root / "runtime")
            launched = launch(self._store, self._container, driver, namespace, size)
        except FastlayerError as error:
            namespace.close()
            self._fail(error, lock)
            return
        state = self._container.state().running(launched.pid, timestamp())
        self._container.write_state(state)
        log = LogWriter(self._container.log)
        with _listener(self._container.run) as listener:
            relay = Relay(launched, log, listener)
            relay.add_client(self._client)
            relay.tell(attach.encode(Kind.STARTED))
            relay.run()
        code = self._clean_up(driver, namespace, launched, relay, log)
        self._container.write_state(state.exited(code, timestamp()))
        if self._container.config.auto_remove:
            ContainerRegistry(self._store.root).remove(self._container)
        os.close(lock)
        relay.finish(attach.encode_numbers(Kind.EXITED, code))

    def _clean_up(
        self,
        driver: StepDriver,
        namespace: MountNamespace,
        launched: Launched,
        relay: Relay,
        log: LogWriter,
    ) -> int:
        """Reap the process and undo what its start made; gives its exit code."""
        code = launched.process.wait()
        relay.close_streams()
        log.close()
        with contextlib.suppress(ContainerError):
            driver.delete(self._container.identifier, force=True)
        with contextlib.suppress(FastlayerError, OSError):
            namespace.unmount(str(launched.root))
        namespace.close()
        shutil.rmtree(self._container.run, ignore_errors=True)
        return code

    def _fail(self, error: FastlayerError, lock: int) -> None:
        code = error.exit_code if isinstance(error, ContainerError) else 125
        failed = self._container.state().failed(code, str(error))
        self._container.write_state(failed)
        if self._container.config.auto_remove:
            ContainerRegistry(self._store.root).remove(self._container)
        os.close(lock)
        with contextlib.suppress(OSError):
            self._client.sendall(attach.encode_failure(code, str(error), error.hint))


class _listener:  # noqa: N801  (used as a function)
    """A listening socket below a directory whose path may be longer than a socket's may be."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> socket.socket:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.bind(f"/proc/self/fd/{descriptor}/{attach.SOCKET}")
        finally:
            os.close(descriptor)
        self._socket.listen(16)
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def main(arguments: list[str]) -> None:
    """Entry point: store root, container id, lock descriptor, socket descriptor, rows, columns."""
    root, identifier = arguments[0], arguments[1]
    lock, connection, rows, columns = (int(word) for word in arguments[2:6])
    if os.fork():
        os._exit(0)  # the caller waits for this one, and nobody has to wait for the monitor
    for descriptor in (lock, connection):
        os.set_inheritable(descriptor, False)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        # A handler that does nothing: to be ignored would be inherited by the container.
        signal.signal(number, lambda *_: None)
    become_subreaper()
    store = Store(root, create=False)
    container = ContainerRegistry(store.root).find(identifier)
    client = socket.socket(fileno=connection)
    Monitor(store, container, client).run(lock, (rows, columns) if rows and columns else None)


if __name__ == "__main__":
    main(sys.argv[1:])
