"""A real Docker Engine on a socket and data folder of the test run's own.

Debian's docker.io: its own client is used (a newer one may come first on PATH). The engine has no
bridge and no iptables: containers use the host's network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.requirements import missing, need_program, need_root

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """A running engine; ``run`` calls its client."""

    client: str
    socket: Path
    folder: Path

    def run(
        self, *arguments: str, check: bool = True, buildkit: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run the client with these arguments; output is captured as text."""
        environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}"}
        environment["DOCKER_BUILDKIT"] = "1" if buildkit else "0"
        environment["DOCKER_CONFIG"] = str(self.folder / "client")
        done = subprocess.run(
            [self.client, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done


def _client() -> str:
    paths = ["/usr/bin/docker", shutil.which("docker") or ""]
    found = [path for path in paths if Path(path).is_file()]
    return found[0] if found else missing("no docker client: install Debian's docker.io")


@contextlib.contextmanager
def docker_engine(parent: Path | None = None) -> Iterator[DockerEngine]:
    """Start an engine below ``parent``, stop it and remove its data at the end."""
    need_root()
    dockerd = need_program("dockerd")
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir=parent))
    engine = DockerEngine(_client(), folder / "docker.sock", folder)
    (folder / "client").mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                dockerd,
                "--iptables=false",
                "--bridge=none",
                f"--host=unix://{engine.socket}",
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'pid'}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _wait(engine, process)
        yield engine
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _remove(folder)


def _wait(engine: DockerEngine, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if engine.socket.exists() and not engine.run("version", check=False).returncode:
            return
        time.sleep(0.2)
    log = (engine.folder / "log").read_text(errors="replace")
    missing(f"the Docker Engine did not start: {log[-2000:]}")


def _remove(folder: Path) -> None:
    """Remove the data; what the engine left mounted is unmounted first, deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)
