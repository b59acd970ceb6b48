"""The monitor's loop: between a process's streams, its log, and whoever is attached.

Invariants: output reaches the log before a client; a client that reads slowly holds the process
back (as a pipe would), a client that goes away holds up nothing; the loop ends when the process
has ended and everything that it wrote was read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable

from fastlayer.container import attach
from fastlayer.container.attach import Frame, Kind
from fastlayer.container.launch import Launched, set_size
from fastlayer.container.log import LogWriter
from fastlayer.errors import ContainerError

_CHUNK = 64 * 1024
_CLIENT_BACKLOG = 1024 * 1024
"""Bytes that may wait for one client before the process's output is left unread."""

_STDIN_BACKLOG = 1024 * 1024
_DRAIN_SECONDS = 5.0
_FLUSH_SECONDS = 30.0


class _Client:
    """One attached connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.decoder = attach.Decoder()
        self.queue = bytearray()


class Relay:
    """Moves bytes until a process ends.

    Parameters
    ----------
    launched:
        The process and our ends of its streams; this object closes them.
    log:
        Gets the output.
    listener:
        A listening socket for those who attach later, or ``None``.
    """

    def __init__(
        self, launched: Launched, log: LogWriter, listener: socket.socket | None = None
    ) -> None:
        self._log = log
        self._terminal = launched.terminal
        self._process = launched.process
        self._selector = selectors.DefaultSelector()
        self._clients: set[_Client] = set()
        self._outputs: dict[int, int] = {}
        self._paused = False
        self._ended = False
        self._stdin = launched.stdin if self._terminal is None else self._terminal
        self._stdin_queue = bytearray()
        self._stdin_ending = False
        self._listener = listener
        for descriptor, stream in (
            (launched.stdout, 1),
            (launched.stderr, 2),
            (launched.terminal, 1),
        ):
            if descriptor is not None:
                self._outputs[descriptor] = stream
        if self._stdin is not None:
            os.set_blocking(self._stdin, False)
        for descriptor in self._outputs:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, self._read_output)
        self._selector.register(self._process.fileno(), selectors.EVENT_READ, self._process_ended)
        if listener is not None:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def add_client(self, connection: socket.socket) -> None:
        """Attach a connection; it gets all output from now on."""
        client = _Client(connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client)

    def tell(self, frame: bytes) -> None:
        """Queue a frame for every client."""
        for client in list(self._clients):
            client.queue += frame
            self._write_client(client)

    def run(self) -> None:
        """Relay until the process has ended and its output was read."""
        deadline: float | None = None
        while not self._ended or self._outputs:
            if self._ended and deadline is None:
                deadline = time.monotonic() + _DRAIN_SECONDS
            if deadline is not None and not self._paused and time.monotonic() > deadline:
                break  # something outside the container holds its pipe
            for key, events in self._selector.select(None if deadline is None else 0.2):
                if isinstance(key.data, _Client):
                    self._serve(key.data, events)
                else:
                    handler: Callable[[int], None] = key.data
                    handler(key.fd)

    def finish(self, frame: bytes) -> None:
        """Hand a last frame to the clients, wait until they have read all, and close everything."""
        self.tell(frame)
        deadline = time.monotonic() + _FLUSH_SECONDS
        while any(client.queue for client in self._clients) and time.monotonic() < deadline:
            for key, events in self._selector.select(0.2):
                if isinstance(key.data, _Client):
                    self._serve(key.data, events)
                elif key.fileobj is not self._listener:
                    self._selector.unregister(key.fileobj)
                else:
                    self._accept(key.fd)
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()

    def close_streams(self) -> None:
        """Close our ends of the process's streams."""
        for descriptor in list(self._outputs):
            self._end_output(descriptor)
        self._close_stdin()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _process_ended(self, descriptor: int) -> None:
        self._ended = True
        self._selector.unregister(descriptor)

    def _accept(self, _descriptor: int) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            self.add_client(connection)

    # What the process writes.

    def _read_output(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that its last user is gone
                raise
            data = b""
        if not data:
            self._end_output(descriptor)
            return
        stream = self._outputs[descriptor]
        self._log.write(stream, data)
        self.tell(attach.encode(Kind.STDOUT if stream == 1 else Kind.STDERR, data))
        self._balance()

    def _end_output(self, descriptor: int) -> None:
        self._outputs.pop(descriptor)
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)
        if descriptor != self._terminal:
            os.close(descriptor)

    def _balance(self) -> None:
        """Stop reading the process while a client has much to read, and start again after."""
        full = any(len(client.queue) > _CLIENT_BACKLOG for client in self._clients)
        if full == self._paused:
            return
        self._paused = full
        for descriptor in self._outputs:
            if full:
                self._selector.unregister(descriptor)
            else:
                self._selector.register(descriptor, selectors.EVENT_READ, self._read_output)

    # What clients say.

    def _serve(self, client: _Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write_client(client)
        if events & selectors.EVENT_READ and client in self._clients:
            self._read_client(client)

    def _read_client(self, client: _Client) -> None:
        try:
            data = client.connection.recv(_CHUNK)
            frames = list(client.decoder.feed(data)) if data else []
        except BlockingIOError:
            return
        except (OSError, ContainerError):
            data, frames = b"", []
        for frame in frames:
            self._obey(frame)
        if not data:
            self._drop(client)
            if self._terminal is None and not self._clients:
                self._end_stdin()

    def _obey(self, frame: Frame) -> None:
        if frame.kind is Kind.STDIN and self._stdin is not None:
            self._stdin_queue += frame.payload
            self._write_stdin(self._stdin)
        elif frame.kind is Kind.STDIN_END and self._terminal is None:
            self._end_stdin()
        elif frame.kind is Kind.RESIZE and self._terminal is not None:
            rows, columns = frame.numbers()
            set_size(self._terminal, rows, columns)
        elif frame.kind is Kind.SIGNAL and not self._ended:
            self._process.signal(frame.numbers()[0])

    def _write_client(self, client: _Client) -> None:
        try:
            while client.queue:
                del client.queue[: client.connection.send(client.queue)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.queue else 0)
        if len(self._stdin_queue) > _STDIN_BACKLOG:
            wanted &= selectors.EVENT_WRITE  # the process does not read: let the client wait
        if wanted:
            self._watch_client(client, wanted)
        self._balance()

    def _watch_client(self, client: _Client, events: int) -> None:
        try:
            self._selector.modify(client.connection, events, client)
        except KeyError:
            self._selector.register(client.connection, events, client)

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        with contextlib.suppress(KeyError):
            self._selector.unregister(client.connection)
        client.connection.close()
        self._balance()

    # What the process reads.

    def _write_stdin(self, descriptor: int) -> None:
        try:
            while self._stdin_queue:
                del self._stdin_queue[: os.write(descriptor, self._stdin_queue[:_CHUNK])]
        except BlockingIOError:
            self._await_stdin(descriptor, True)
            self._hold_clients(len(self._stdin_queue) > _STDIN_BACKLOG)
            return
        except OSError:
            self._stdin_queue.clear()  # the process has closed it
            self._stdin_ending = self._terminal is None
        self._await_stdin(descriptor, False)
        self._hold_clients(False)
        if self._stdin_ending:
            self._close_stdin()

    def _await_stdin(self, descriptor: int, wanted: bool) -> None:
        """Be called back when the process can read on. A terminal is watched for reading too."""
        if descriptor == self._terminal:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
            with contextlib.suppress(KeyError):
                self._selector.modify(descriptor, events, self._serve_terminal)
            return
        registered = descriptor in self._selector.get_map()
        if wanted and not registered:
            self._selector.register(descriptor, selectors.EVENT_WRITE, self._write_stdin)
        elif registered and not wanted:
            self._selector.unregister(descriptor)

    def _serve_terminal(self, descriptor: int) -> None:
        if self._stdin_queue:
            self._write_stdin(descriptor)
        if descriptor in self._outputs:
            self._read_output(descriptor)

    def _hold_clients(self, hold: bool) -> None:
        for client in self._clients:
            write = selectors.EVENT_WRITE if client.queue else 0
            if hold and not write:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(client.connection)
            else:
                self._watch_client(client, write if hold else write | selectors.EVENT_READ)

    def _end_stdin(self) -> None:
        self._stdin_ending = True
        if not self._stdin_queue:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin is None or self._stdin == self._terminal:
            self._stdin = None
            return
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._stdin)
        os.close(self._stdin)
        self._stdin = None
