"""Makes this process the parent of its orphaned descendants, so that it can reap them.

A runtime that detaches leaves the container's first process to the nearest subreaper: the
monitor learns its exit status that way.
"""

from __future__ import annotations

import ctypes
import os

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Take orphaned descendants from now on.

    Raises
    ------
    OSError
        The kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
