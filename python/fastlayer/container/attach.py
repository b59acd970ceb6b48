"""What a terminal and a container's monitor say to each other over a socket.

A frame is a kind (one byte), a length (four bytes, big endian) and that many bytes. Pure: bytes
in, frames out; the sockets are the caller's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from fastlayer.errors import ContainerError

MAXIMUM_PAYLOAD = 1024 * 1024
"""Bytes of one frame at most; a longer one is a broken peer."""

SOCKET = "attach.sock"
"""Name, below a running container's ``run/``, of the socket for those who attach later."""

_HEADER = struct.Struct(">BI")


class Kind(IntEnum):
    """What a frame says. The first four come from the client, the others from the monitor."""

    STDIN = 0
    STDIN_END = 3
    RESIZE = 4
    SIGNAL = 5
    STDOUT = 1
    STDERR = 2
    STARTED = 16
    FAILED = 17
    EXITED = 18


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    kind: Kind
    payload: bytes = b""

    def numbers(self) -> tuple[int, ...]:
        """The payload as signed numbers of four bytes (RESIZE: rows, columns; SIGNAL; EXITED)."""
        count = len(self.payload) // 4
        return struct.unpack(f">{count}i", self.payload[: count * 4])


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """A frame's bytes."""
    return _HEADER.pack(kind, len(payload)) + payload


def encode_numbers(kind: Kind, *numbers: int) -> bytes:
    """A frame that carries numbers."""
    return encode(kind, struct.pack(f">{len(numbers)}i", *numbers))


def encode_failure(exit_code: int, message: str, hint: str | None) -> bytes:
    """A frame that says why a start failed."""
    value = {"exit_code": exit_code, "message": message, "hint": hint}
    return encode(Kind.FAILED, json.dumps(value).encode())


def failure(payload: bytes) -> ContainerError:
    """The error that a FAILED frame carries."""
    value = json.loads(payload)
    error = ContainerError(str(value["message"]), hint=value["hint"])
    error.exit_code = int(value["exit_code"])
    return error


class Decoder:
    """Collects bytes and gives the frames that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes; gives every frame that they complete.

        Raises
        ------
        ContainerError
            The bytes are no frames.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            if length > MAXIMUM_PAYLOAD:
                raise ContainerError("the other end of the attach socket does not speak our frames")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield Frame(Kind(kind), payload)
