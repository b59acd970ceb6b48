"""Between this process's own standard streams and a container's monitor.

With a terminal the keys go through untouched (raw mode) and the size follows the window's; else
bytes are passed as they come, and the signals that this process gets.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from types import FrameType

from fastlayer.container import attach
from fastlayer.container.attach import Kind
from fastlayer.container.lifecycle import Session

_CHUNK = 16 * 1024
_DETACH = (0x10, 0x11)  # ctrl-p ctrl-q
_PROXIED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def window_size() -> tuple[int, int] | None:
    """Rows and columns of the terminal on stdin or stdout; ``None`` where there is none."""
    for descriptor in (0, 1):
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(descriptor)
            return size.lines, size.columns
    return None


def is_terminal() -> bool:
    """Whether stdin is a terminal."""
    return os.isatty(0)


def interact(session: Session, *, stdin: bool, terminal: bool) -> int | None:
    """Pass bytes until the container ends; gives its exit code.

    Parameters
    ----------
    session:
        The connection to the monitor.
    stdin:
        Whether our standard input goes to the container.
    terminal:
        Whether the container has a terminal.

    Returns
    -------
    The exit code; ``None`` where the user detached (ctrl-p ctrl-q) or the monitor is gone.
    """
    raw = terminal and stdin and is_terminal()
    with _raw_mode() if raw else contextlib.nullcontext(), _signals(session, terminal):
        if stdin:
            pump = _StdinPump(session, detachable=raw)
            threading.Thread(target=pump.run, daemon=True, name="stdin").start()
        for frame in session.frames():
            if frame.kind in (Kind.STDOUT, Kind.STDERR):
                _write(1 if frame.kind is Kind.STDOUT else 2, frame.payload)
            elif frame.kind is Kind.EXITED:
                return frame.numbers()[0]
    return None


class _StdinPump:
    """Reads our standard input and sends it; its own thread, so that output never waits for it."""

    def __init__(self, session: Session, *, detachable: bool) -> None:
        self._session = session
        self._detachable = detachable
        self._held = b""

    def run(self) -> None:
        """Send until the input ends or the monitor is gone."""
        while True:
            try:
                data = os.read(0, _CHUNK)
            except OSError:
                data = b""
            if not data:
                self._session.send(attach.encode(Kind.STDIN_END))
                return
            if self._detachable:
                data, detach = self._without_detach_keys(data)
                if detach:
                    self._session.shut_down()
                    return
            if data and not self._session.send(attach.encode(Kind.STDIN, data)):
                return

    def _without_detach_keys(self, data: bytes) -> tuple[bytes, bool]:
        """What to send, and whether the two keys came; the first one is held until the next."""
        kept = bytearray()
        for byte in data:
            if self._held and byte == _DETACH[1]:
                return bytes(kept), True
            kept += self._held
            self._held = b""
            if byte == _DETACH[0]:
                self._held = bytes([byte])
            else:
                kept.append(byte)
        return bytes(kept), False


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    saved = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)


@contextlib.contextmanager
def _signals(session: Session, terminal: bool) -> Iterator[None]:
    """Hand signals on while we are attached: the size with a terminal, else what we are sent."""

    def resized(_number: int, _frame: FrameType | None) -> None:
        size = window_size()
        if size is not None:
            session.send(attach.encode_numbers(Kind.RESIZE, *size))

    def proxied(number: int, _frame: FrameType | None) -> None:
        session.send(attach.encode_numbers(Kind.SIGNAL, number))

    handlers = {signal.SIGWINCH: resized} if terminal else dict.fromkeys(_PROXIED, proxied)
    saved = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)


def _write(descriptor: int, data: bytes) -> None:
    (sys.stdout if descriptor == 1 else sys.stderr).flush()
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
