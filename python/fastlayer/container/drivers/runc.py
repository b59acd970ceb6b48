"""runc, and the runtimes with its command line (crun, youki).

Which one works is found by a probe: a container whose program does not exist must fail for that
reason and no other. The answer is kept with the program's identity and the kernel's release.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastlayer.container.drivers.failure import MISSING_PROGRAM, failure_text
from fastlayer.container.drivers.runc_launcher import RuncLauncher
from fastlayer.container.spec import ProcessSpec, runtime_config
from fastlayer.container.user import ResolvedUser
from fastlayer.container.user_namespace import is_nested
from fastlayer.errors import ContainerError, RuntimeMissingError
from fastlayer.store import MountNamespace

_PROBE_PROGRAM = "/fastlayer-probe"
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RuncDriver:
    """A runtime with runc's command line.

    Parameters
    ----------
    name:
        Its program name, for messages.
    program:
        The program's path.
    state:
        Where the runtime keeps its own state; on a file system that does not survive a reboot.
    filters_calls:
        Whether it was built with libseccomp.
    uses_namespaces:
        Always.
    """

    name: str
    program: Path
    state: Path
    filters_calls: bool = True
    uses_namespaces: bool = True

    def run_argv(
        self,
        bundle: Path,
        container_id: str,
        *,
        log: Path,
        pid_file: Path | None = None,
        console_socket: Path | None = None,
        detach: bool = False,
    ) -> list[bytes]:
        """See :class:`fastlayer.container.drivers.Driver`."""
        argv = [*self._head(), b"--log", os.fsencode(log), b"--log-format", b"json"]
        argv += [b"run", b"--bundle", os.fsencode(bundle)]
        if detach:
            argv.append(b"--detach")
        if pid_file is not None:
            argv += [b"--pid-file", os.fsencode(pid_file)]
        if console_socket is not None:
            argv += [b"--console-socket", os.fsencode(console_socket)]
        return [*argv, container_id.encode()]

    def exec_argv(
        self, container_id: str, process: Path, *, log: Path, detach: bool = False
    ) -> list[bytes]:
        """See :class:`fastlayer.container.drivers.Driver`."""
        argv = [*self._head(), b"--log", os.fsencode(log), b"--log-format", b"json", b"exec"]
        if detach:
            argv.append(b"--detach")
        return [*argv, b"--process", os.fsencode(process), container_id.encode()]

    def launcher(self, namespace: MountNamespace | None) -> RuncLauncher:
        """See :class:`fastlayer.container.drivers.Driver`."""
        assert namespace is not None
        return RuncLauncher(self, namespace)

    def kill(self, container_id: str, signal: int) -> None:
        """See :class:`fastlayer.container.drivers.Driver`."""
        self._call("kill", container_id, str(signal))

    def pause(self, container_id: str) -> None:
        """See :class:`fastlayer.container.drivers.Driver`."""
        self._call("pause", container_id)

    def resume(self, container_id: str) -> None:
        """See :class:`fastlayer.container.drivers.Driver`."""
        self._call("resume", container_id)

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """See :class:`fastlayer.container.drivers.Driver`."""
        self._call("delete", *(["--force"] if force else []), container_id)

    def _head(self) -> list[bytes]:
        return [os.fsencode(self.program), b"--root", os.fsencode(self.state)]

    def _call(self, *words: str) -> None:
        done = subprocess.run(
            [*self._head(), *(word.encode() for word in words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
        )
        if done.returncode:
            reason = _last_line(done.stderr) or f"exit code {done.returncode}"
            raise ContainerError(f"{self.name} {words[0]} {words[-1][:12]}: {reason}")


def state_directory() -> Path:
    """Where runtimes keep what does not outlive a boot: ``/run/fastlayer``, or the user's own."""
    if os.geteuid() == 0 and not is_nested():
        return Path("/run/fastlayer")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "fastlayer"
    return Path(tempfile.gettempdir()) / f"fastlayer-{Path('/proc/self').stat().st_uid}"


def find_runtime(cache: Path, candidates: Sequence[str]) -> RuncDriver:
    """See :func:`fastlayer.container.drivers.find_driver`."""
    if os.geteuid() != 0 or is_nested():
        raise RuntimeMissingError(
            "container runtimes are used by root only",
            hint="run fastlayer as root; only the steps of builds need no root",
        )
    refusals = []
    remembered = _remembered(cache)
    for name in candidates:
        found = shutil.which(name)
        if found is None:
            continue
        driver = RuncDriver(name, Path(found), state_directory() / name)
        driver.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = _identity(driver.program)
        if remembered in {f"{identity} filters", f"{identity} plain"}:
            return replace(driver, filters_calls=remembered.endswith(" filters"))
        reason = _probe(driver, cache.parent)
        if reason is not None and "seccomp" in reason:
            driver = replace(driver, filters_calls=False)
            reason = _probe(driver, cache.parent)
        if reason is None:
            _remember(cache, f"{identity} {'filters' if driver.filters_calls else 'plain'}")
            return driver
        refusals.append(f"{name}: {reason}")
    detail = "; ".join(refusals) if refusals else f"none of {', '.join(candidates)} is installed"
    raise RuntimeMissingError(
        f"no container runtime works here ({detail})", hint="install runc: apt-get install runc"
    )


def _probe(driver: RuncDriver, directory: Path) -> str | None:
    """Start a container whose program is missing; gives why it failed, ``None`` if as expected."""
    with tempfile.TemporaryDirectory(prefix="probe-", dir=directory) as folder:
        bundle = Path(folder)
        for name in ("rootfs", "rootfs/proc", "rootfs/dev", "rootfs/sys"):
            (bundle / name).mkdir()
        container_id = bundle.name
        spec = ProcessSpec(
            (_PROBE_PROGRAM,), (), "/", ResolvedUser(), "probe", f"/fastlayer/{container_id}"
        )
        config = runtime_config(spec, str(bundle / "rootfs"), filter_calls=driver.filters_calls)
        (bundle / "config.json").write_text(json.dumps(config))
        done = subprocess.run(
            driver.run_argv(bundle, container_id, log=bundle / "log"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            start_new_session=True,
        )
        with contextlib.suppress(ContainerError):
            driver.delete(container_id, force=True)
        text = failure_text(bundle / "log") or _last_line(done.stderr)
    if any(mark in text for mark in MISSING_PROGRAM):
        return None
    return text or f"exit code {done.returncode}"


def _identity(program: Path) -> str:
    status = program.stat()
    return f"{program} {status.st_size} {status.st_mtime_ns} {os.uname().release}"


def _remembered(cache: Path) -> str:
    try:
        return cache.read_text()
    except OSError:
        return ""


def _remember(cache: Path, identity: str) -> None:
    # Losing it costs one probe, so it needs neither fsync nor a lock.
    temporary = cache.with_name(f"{cache.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.write_text(identity)
        temporary.replace(cache)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
