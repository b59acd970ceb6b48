"""A stretch of a file as a stream of its own, for a reader that reads to the end.

The kernel moves the bytes, from a thread, into a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

from fastlayer.transport.parts import Part

PIECE = 1 << 20
"""Bytes moved by one call; also the size asked for the pipe."""


@contextlib.contextmanager
def stream_of(part: Part) -> Iterator[int]:
    """A file descriptor that gives exactly the part's bytes, then its end.

    A part that is a whole file is opened anew instead. The descriptor is closed afterwards.
    """
    if part.offset == 0 and part.size == os.fstat(part.descriptor).st_size:
        descriptor = os.open(f"/proc/self/fd/{part.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        return
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # the system's limit may be lower
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIECE)
    mover = threading.Thread(target=_move, args=(part, writer), name="fastlayer-part")
    mover.start()
    try:
        yield reader
    finally:
        os.close(reader)  # a mover that is still writing gets EPIPE
        mover.join()


def _move(part: Part, writer: int) -> None:
    """Feed the pipe. Whatever goes wrong ends the stream early, which the reader notices."""
    position, end = part.offset, part.offset + part.size
    try:
        with contextlib.suppress(OSError):
            while position < end:
                moved = os.sendfile(writer, part.descriptor, position, min(PIECE, end - position))
                if moved == 0:
                    return
                position += moved
    finally:
        os.close(writer)
