"""How a container is: created, running or exited, one small document replaced at each change.

Pure values and transitions. Whether a container that is written down as running truly runs is
not here: its monitor's lock tells (see ``registry``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fastlayer.errors import CorruptError

STATUSES = ("created", "running", "exited")
"""What ``status`` can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedLayer:
    """A layer that was a container's upper when it was committed, and its history entry."""

    diff_id: str
    history: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """The changing part of a container.

    ``started`` and ``finished`` are RFC 3339 times, empty where it did not happen; ``layers`` lie
    over the image's, the oldest first; ``error`` says why the last start failed.
    """

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    started: str = ""
    finished: str = ""
    error: str = ""
    layers: tuple[AdoptedLayer, ...] = ()

    def running(self, pid: int, now: str) -> ContainerState:
        """The state once the process was started."""
        return replace(
            self, status="running", pid=pid, exit_code=0, started=now, finished="", error=""
        )

    def exited(self, exit_code: int, now: str, *, error: str = "") -> ContainerState:
        """The state once the process is gone."""
        return replace(self, status="exited", pid=0, exit_code=exit_code, finished=now, error=error)

    def failed(self, exit_code: int, error: str) -> ContainerState:
        """The state after a start that failed: as before, with the reason."""
        return replace(self, pid=0, exit_code=exit_code, error=error)

    def adopted(self, layer: AdoptedLayer) -> ContainerState:
        """The state once the upper has become a layer."""
        return replace(self, layers=(*self.layers, layer))

    def to_value(self) -> dict[str, object]:
        """The JSON object that :func:`from_value` reads."""
        return {
            "status": self.status,
            "pid": self.pid,
            "exit_code": self.exit_code,
            "started": self.started,
            "finished": self.finished,
            "error": self.error,
            "layers": [
                {"diff_id": layer.diff_id, "history": dict(layer.history)} for layer in self.layers
            ],
        }


def from_value(value: Mapping[str, object], where: str) -> ContainerState:
    """Read the document; ``where`` is what an error calls it.

    Raises
    ------
    CorruptError
        Something is missing, or has another type.
    """
    try:
        layers = value["layers"]
        if value["status"] not in STATUSES or not isinstance(layers, list):
            raise CorruptError(f"{where} is damaged: unknown status {value['status']}")
        return ContainerState(
            status=str(value["status"]),
            pid=int(str(value["pid"])),
            exit_code=int(str(value["exit_code"])),
            started=str(value["started"]),
            finished=str(value["finished"]),
            error=str(value["error"]),
            layers=tuple(
                AdoptedLayer(diff_id=str(layer["diff_id"]), history=dict(layer["history"]))
                for layer in layers
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(f"{where} is damaged: {error!r}") from error
