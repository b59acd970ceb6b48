"""System calls in a step: what the kernel answers, with runc and libseccomp and with our own."""

from __future__ import annotations

import errno
import json
import platform
import sys
from pathlib import Path

import pytest
from fastlayer.container import system_calls

from tests.support import ways
from tests.support.host_step import run_in_step
from tests.support.requirements import missing

PROGRAM = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = []
for number, arguments in json.load(open(sys.argv[1])):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    answers.append(ctypes.get_errno() if result == -1 else 0)
print(json.dumps(answers))
"""

NEW_USERS = 0x10000000
ALGORITHMS, MACHINES, INTERNET, STREAM = 38, 40, 2, 1

# Each call is made so that one that is let through fails for another reason, or does no harm.
CALLS: list[tuple[str, tuple[int, ...], int]] = [
    ("keyctl", (0, 0, 0), errno.EPERM),
    ("add_key", (0, 0, 0, 0, 0), errno.EPERM),
    ("request_key", (0, 0, 0, 0), errno.EPERM),
    ("mount", (0, 0, 0, 0, 0), errno.EPERM),
    ("umount2", (0, 0), errno.EPERM),
    ("fsopen", (0, 0), errno.EPERM),
    ("move_mount", (-1, 0, -1, 0, 0), errno.EPERM),
    ("pivot_root", (0, 0), errno.EPERM),
    ("unshare", (NEW_USERS,), errno.EPERM),
    ("setns", (-1, 0), errno.EPERM),
    ("clone", (NEW_USERS, 0, 0, 0, 0), errno.EPERM),
    ("clone3", (0, 0), errno.ENOSYS),
    ("personality", (0xFFFFFFFF,), 0),
    ("personality", (0,), 0),
    ("personality", (0x40000,), errno.EPERM),
    ("ptrace", (99, 0, 0, 0), errno.ESRCH),
    ("process_vm_readv", (0, 0, 0, 0, 0, 1), errno.EINVAL),
    ("io_uring_setup", (0, 0), errno.EPERM),
    ("userfaultfd", (0,), errno.EPERM),
    ("perf_event_open", (0, 0, 0, -1, 0), errno.EPERM),
    ("bpf", (0, 0, 0), errno.EPERM),
    ("init_module", (0, 0, 0), errno.EPERM),
    ("kexec_load", (0, 0, 0, 0), errno.EPERM),
    ("reboot", (0, 0, 0, 0), errno.EPERM),
    ("swapon", (0, 0), errno.EPERM),
    ("open_by_handle_at", (-1, 0, 0), errno.EPERM),
    ("name_to_handle_at", (-1, 0, 0, 0, 0), errno.EFAULT),
    ("kcmp", (0, 0, 0, 0, 0), errno.EPERM),
    ("mbind", (0, 0, 0, 0, 0, 0), errno.EPERM),
    ("settimeofday", (0, 0), errno.EPERM),
    ("socket", (ALGORITHMS, 5, 0), errno.EPERM),
    ("socket", (MACHINES, STREAM, 0), errno.EPERM),
    ("socket", (INTERNET, STREAM, 0), 0),
    ("openat2", (-100, 0, 0, 0), errno.EINVAL),
    ("statx", (-100, 0, 0, 0, 0), errno.EFAULT),
    ("close_range", (900, 900, 0), 0),
]


@pytest.fixture(params=["runc", "builtin"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Those that filter."""
    ways.choose(str(request.param), monkeypatch)
    return str(request.param)


@pytest.mark.usefixtures("driver")
def test_calls_are_refused_as_dockers_profile_says(tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        missing("the numbers of this test are those of x86-64")
    numbers = system_calls.numbers("SCMP_ARCH_X86_64")
    assert numbers is not None
    (tmp_path / "calls").write_text(json.dumps([(numbers[name], a) for name, a, _ in CALLS]))
    words = [sys.executable, "-I", "-c", PROGRAM, str(tmp_path / "calls")]
    done = run_in_step(tmp_path / "store", words)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    found = [(name, a, answer) for (name, a, _), answer in zip(CALLS, answers, strict=True)]
    assert found == CALLS
