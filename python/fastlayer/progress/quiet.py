"""Shows nothing: errors and the image's id are the command's to print."""

from __future__ import annotations

from fastlayer.progress.events import Event


class QuietRenderer:
    """The renderer of ``--progress=quiet`` and of library calls."""

    def event(self, event: Event) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""
