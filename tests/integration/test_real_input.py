"""The whole path on real input: a Debian base, nginx from Debian's packages, a page on top; the
image runs under fastlayer, Docker and podman; a container is changed by hand and committed.

One module-wide store: each test goes on where the one before stopped, as a user's day does.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import selectors
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.debian import debian_tar
from tests.support.docker_engine import DockerEngine, docker_engine
from tests.support.requirements import missing, need_core, need_program, need_root

NGINX = """\
FROM debian:bookworm
RUN apt-get update && apt-get install -y --no-install-recommends nginx-light \
&& rm -rf /var/lib/apt/lists/*
"""
SITE = """\
FROM nginx:1.22
COPY index.html /var/www/html/index.html
CMD ["nginx", "-g", "daemon off;"]
"""
PAGE = b"<h1>served from an image</h1>\n"
PAGE_PATH = "/var/www/html/index.html"
SERVE = 'CMD ["nginx", "-g", "daemon off;"]'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_root()
    need_core()
    need_program("runc")
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="module")
def fastlayer(folder: Path) -> Iterator[Command]:
    command = Command(folder / "store")
    yield command
    for line in command.text("ps", "-aq").split():
        command.run("rm", "-f", line, check=False)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[DockerEngine]:
    with docker_engine(folder) as running:
        yield running


@pytest.fixture(scope="module")
def site(folder: Path, fastlayer: Command) -> str:
    """Builds everything once; gives the site's image id."""
    fastlayer.run("import", debian_tar(), "debian:bookworm", "-c", 'CMD ["bash"]')
    nginx = folder / "nginx"
    nginx.mkdir()
    (nginx / "Dockerfile").write_text(NGINX)
    fastlayer.run("build", "-t", "nginx:1.22", nginx, timeout=600)
    context = folder / "site"
    context.mkdir()
    (context / "Dockerfile").write_text(SITE)
    (context / "index.html").write_bytes(PAGE)
    return fastlayer.text("build", "-q", "-t", "site", context)


def fetch(seconds: float = 15) -> bytes:
    """The page on loopback, waited for."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:80/", timeout=2) as answer:
                return bytes(answer.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def port_is_free() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 80))
        except OSError:
            missing("port 80 is in use")


def readable(terminal: int, seconds: float) -> bool:
    """Whether there is something to read; the descriptor may have any number."""
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def type_into(command: list[str], environment: dict[str, str], lines: list[str]) -> bytes:
    """Run a command on a real pseudo terminal and type lines; gives what the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execve(command[0], command, environment)
    shown = b""
    for line in [*lines, ""]:
        deadline = time.monotonic() + 20
        while not shown.rstrip().endswith(b"#") and time.monotonic() < deadline:
            if readable(terminal, 0.1):
                try:
                    shown += os.read(terminal, 4096)
                except OSError:
                    break
        if line:
            os.write(terminal, line.encode() + b"\n")
            shown += b"\n"
            time.sleep(0.3)
            while readable(terminal, 0.2):
                try:
                    shown += os.read(terminal, 4096)
                except OSError:
                    break
    status = os.waitpid(process, 0)[1]
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, shown.decode(errors="replace")
    return shown


def saved_digest(fastlayer: Command, image: str, output: Path) -> str:
    """SHA-256 of what ``save`` writes."""
    fastlayer.run("save", "-o", output, image)
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    output.unlink()
    return digest


def test_second_build_is_cached_and_has_the_same_id(
    folder: Path, fastlayer: Command, site: str
) -> None:
    done = fastlayer.run("build", "--progress", "plain", "-t", "site", folder / "site")
    assert b"CACHED" in done.stderr
    assert fastlayer.text("inspect", "-f", "{{.Id}}", "site") == site
    os.utime(folder / "site" / "index.html")
    assert fastlayer.text("build", "-q", "-t", "site", folder / "site") == site


def test_nothing_of_ours_is_in_the_run_layer(fastlayer: Command, site: str) -> None:
    document = json.loads(fastlayer.text("inspect", "nginx:1.22"))[0]
    assert len(document["RootFS"]["Layers"]) == 2
    changed = fastlayer.text("diff", "debian:bookworm", "nginx:1.22").splitlines()
    names = {line.split()[1] for line in changed}
    assert "/usr/sbin/nginx" in names
    for ours in (
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/hostname",
        "/proc",
        "/dev",
        "/sys",
        "/run",
    ):
        assert ours not in names
    assert not [name for name in names if name.startswith(("/proc/", "/dev/", "/sys/"))]


def test_skopeo_accepts_the_saved_image(folder: Path, fastlayer: Command, site: str) -> None:
    skopeo = need_program("skopeo")
    output = folder / "site.tar"
    fastlayer.run("save", "-o", output, "site")
    for transport in ("oci-archive", "docker-archive"):
        done = subprocess.run(
            [skopeo, "inspect", "--config", f"{transport}:{output}"],
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout)["config"]["Cmd"] == ["nginx", "-g", "daemon off;"]


def test_fastlayer_serves_the_page(fastlayer: Command, site: str) -> None:
    port_is_free()
    done = fastlayer.run("run", "-d", "--name", "web", "-p", "8080:80", "site")
    assert b"Published ports are discarded when using host network mode" in done.stderr
    try:
        assert fetch() == PAGE
        assert "web" in fastlayer.text("ps")
    finally:
        fastlayer.run("stop", "-t", "2", "web")
    assert "Exited" in fastlayer.text("ps", "-a")
    fastlayer.run("rm", "web")


def test_docker_serves_the_page(
    folder: Path, fastlayer: Command, engine: DockerEngine, site: str
) -> None:
    port_is_free()
    output = folder / "site.tar"
    fastlayer.run("save", "-o", output, "site")
    assert "Loaded image: site:latest" in engine.run("load", "-i", str(output)).stdout
    assert engine.run("inspect", "-f", "{{.Id}}", "site").stdout.strip() == site
    engine.run("run", "-d", "--name", "web", "--network", "host", "site")
    try:
        assert fetch() == PAGE
    finally:
        engine.run("rm", "-f", "web")
    ours = fastlayer.text("history", "--no-trunc", "--format", "{{.CreatedBy}}", "site")
    theirs = engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", "site").stdout
    assert theirs.strip() == ours.strip()
    assert ours.splitlines()[:2] == [
        'CMD ["nginx" "-g" "daemon off;"]',
        f"COPY index.html {PAGE_PATH} # buildkit",
    ]


def test_podman_loads_and_runs_the_image(folder: Path, fastlayer: Command, site: str) -> None:
    podman = need_program("podman")
    output = folder / "site.tar"
    fastlayer.run("save", "-o", output, "site")
    base = [podman, "--root", str(folder / "podman"), "--runroot", str(folder / "podman-run")]
    base += ["--cgroup-manager=cgroupfs", "--runtime=runc", "--storage-driver=overlay"]
    subprocess.run([*base, "load", "-i", str(output)], check=True, capture_output=True)
    # Its own defaults for limits may be above what this machine allows.
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]
    run = [*base, "run", "--rm", "--network=host", *limits, "site", "cat", PAGE_PATH]
    done = subprocess.run(run, check=False, capture_output=True)
    subprocess.run([*base, "rmi", "-f", "site"], check=False, capture_output=True)
    subprocess.run(["umount", "--lazy", str(folder / "podman" / "overlay")], check=False)
    shutil.rmtree(folder / "podman", ignore_errors=True)
    assert done.stdout == PAGE, done.stderr.decode()


def test_commit_story(folder: Path, fastlayer: Command, engine: DockerEngine, site: str) -> None:
    """A container is changed on a terminal and committed; base and commit stay as they were."""
    port_is_free()
    base = saved_digest(fastlayer, "site", folder / "base.tar")
    line = f"echo hello-my-nginx > {PAGE_PATH}"
    command = fastlayer.argv("run", "-it", "--name", "officialNginx", "site", "bash")
    shown = type_into(command, fastlayer.environ(), ["tty", line, "exit"])
    assert b"/dev/pts/" in shown
    fastlayer.run(
        "commit", "-m", "edited index.html", "-c", SERVE, "officialNginx", "user/commitnginx"
    )
    committed = saved_digest(fastlayer, "user/commitnginx", folder / "committed.tar")
    newest = fastlayer.text("history", "user/commitnginx").splitlines()[1]
    assert "edited index.html" in newest

    fastlayer.run("run", "-d", "--name", "changed", "user/commitnginx")
    try:
        assert fetch() == b"hello-my-nginx\n"
    finally:
        fastlayer.run("rm", "-f", "changed")

    # The container goes on: what it writes now must touch neither image.
    append = f"echo more >> {PAGE_PATH}; cat {PAGE_PATH}"
    command = fastlayer.argv("start", "-ai", "officialNginx")
    shown = type_into(command, fastlayer.environ(), [append, "exit"])
    assert re.search(rb"hello-my-nginx\s+more", shown)
    assert saved_digest(fastlayer, "site", folder / "base.tar") == base
    assert saved_digest(fastlayer, "user/commitnginx", folder / "committed.tar") == committed
    assert fastlayer.text("cat", f"user/commitnginx:{PAGE_PATH}") == "hello-my-nginx"
    fastlayer.run("fsck")

    output = folder / "committed.tar"
    fastlayer.run("save", "-o", output, "user/commitnginx")
    engine.run("load", "-i", str(output))
    engine.run("run", "-d", "--name", "changed", "--network", "host", "user/commitnginx")
    try:
        assert fetch() == b"hello-my-nginx\n"
    finally:
        engine.run("rm", "-f", "changed")
