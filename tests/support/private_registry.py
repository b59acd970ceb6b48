"""A registry of the test run's own: Debian's docker-registry on a free port, plain HTTP, and its
notes of what was asked for.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.requirements import need_program

_CONFIG = """version: 0.1
log: {{level: info, formatter: json, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry; ``address`` is what stands before a repository's name."""

    address: str
    log: Path

    def blob_answers(self) -> list[tuple[str, int, int]]:
        """The blobs that were sent so far: path, status, and bytes."""
        answers = []
        for line in self.log.read_text().splitlines():
            try:
                note = json.loads(line)
            except ValueError:
                continue
            uri = note.get("http.request.uri", "")
            status = note.get("http.response.status")
            if status and note.get("http.request.method") == "GET" and "/blobs/sha256:" in uri:
                answers.append((uri, int(status), int(note.get("http.response.written", 0))))
        return answers


@contextlib.contextmanager
def private_registry(folder: Path) -> Iterator[Registry]:
    """Run a registry whose data is below ``folder`` while the context lasts."""
    program = need_program("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(_CONFIG.format(data=folder / "registry", port=port))
    log = folder / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=output)
    try:
        _await(f"http://127.0.0.1:{port}/v2/", process, log)
        yield Registry(f"localhost:{port}", log)
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > end:
                said = log.read_text()
                raise AssertionError(f"docker-registry does not answer: {said}") from None
            time.sleep(0.05)
