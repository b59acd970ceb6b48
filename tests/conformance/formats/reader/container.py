"""A container's files: docs/formats/containers.md."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.formats.reader.refusal import OtherVersionError, check

VERSION = 1
_CONFIG = {
    *("id", "name", "created", "image", "image_id", "document", "path", "arguments"),
    *("environment", "hostname", "network", "mounts", "volumes", "terminal", "open_stdin"),
    *("auto_remove", "read_only", "privileged", "cap_add", "cap_drop", "group_add"),
    *("extra_hosts", "shm_size", "ulimits", "stop_timeout", "ports"),
}
_STATE = {
    *("status", "pid", "exit_code", "started", "finished", "error", "layers"),
}


@dataclass(frozen=True, slots=True)
class ContainerFiles:
    """A container: its two documents, and the lines of its log."""

    config: dict[str, Any]
    state: dict[str, Any]
    log: list[dict[str, str]]


def read_containers(root: Path) -> list[ContainerFiles]:
    """All containers of a store."""
    folder = root / "containers"
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    whole = [name for name in names if not name.startswith((".new-", ".dead-"))]
    return [_container(folder / name) for name in whole]


def _container(folder: Path) -> ContainerFiles:
    check(re.fullmatch("[0-9a-f]{64}", folder.name) is not None, f"{folder} is no container")
    config = json.loads((folder / "config.json").read_bytes())
    if config["version"] != VERSION:
        raise OtherVersionError(f"a container of version {config['version']}")
    state = json.loads((folder / "state.json").read_bytes())
    check(config["id"] == folder.name, f"{folder} is another container's")
    check(not _CONFIG - set(config), f"config.json lacks {_CONFIG - set(config)}")
    check(not _STATE - set(state), f"state.json lacks {_STATE - set(state)}")
    check(state["status"] in ("created", "running", "exited"), "an unknown status")
    log_file = folder / f"{folder.name}-json.log"
    lines = log_file.read_text().splitlines() if log_file.exists() else []
    return ContainerFiles(config, state, [json.loads(line) for line in lines])
