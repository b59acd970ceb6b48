"""What a build reports while it runs, and the forms in which that is shown.

``events`` has the types; each renderer takes events and writes to the stream it is given. No
renderer knows of the builder, and only ``tty`` imports rich.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from fastlayer.errors import UsageError

if TYPE_CHECKING:
    from fastlayer.progress.events import Renderer

MODES = ("auto", "plain", "tty", "rawjson", "quiet", "none")
"""The values of ``--progress``."""


def renderer(mode: str, stream: TextIO, environment: Mapping[str, str]) -> Renderer:
    """The renderer that a mode names.

    Parameters
    ----------
    mode:
        One of :data:`MODES`; ``auto`` is ``tty`` on a terminal, else ``plain``.
    stream:
        Where it writes.
    environment:
        ``NO_COLOR`` and ``TERM`` are looked at.

    Raises
    ------
    UsageError
        No such mode, or ``tty`` where the stream is no terminal.
    """
    if mode == "auto":
        mode = "tty" if stream.isatty() and environment.get("TERM") != "dumb" else "plain"
    if mode == "plain":
        from fastlayer.progress.plain import PlainRenderer

        return PlainRenderer(stream)
    if mode == "rawjson":
        from fastlayer.progress.rawjson import RawJsonRenderer

        return RawJsonRenderer(stream)
    if mode in {"quiet", "none"}:
        from fastlayer.progress.events import QuietRenderer

        return QuietRenderer()
    if mode == "tty":
        if not stream.isatty():
            raise UsageError(
                "--progress=tty needs a terminal", hint="use --progress=plain, or leave it out"
            )
        from fastlayer.progress.tty import TtyRenderer

        return TtyRenderer(stream, color="NO_COLOR" not in environment)
    raise UsageError(
        f"--progress={mode} is not a form of progress", hint=f"use one of {', '.join(MODES)}"
    )
