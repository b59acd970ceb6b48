"""A command in a process whose memory is measured, and bounded in case the measure is needed.

So is its processor time, which a busy machine does not lengthen: what never ends is ended by the
kernel, and what waits for ever by the test's own limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.command import Command

MEMORY = 300 << 20
"""Bytes that a command may have in memory, whatever it is fed."""
_ADDRESS_SPACE = 4 << 30
"""Bytes after which the kernel refuses more: the machine must survive a failing test."""
_PROCESSOR_TIME = 600
"""Seconds of it after which the kernel ends the command; the longest here takes twenty."""

_MAIN = """
import json, resource, sys
from fastlayer.cli.main import main
resource.setrlimit(resource.RLIMIT_AS, ({space}, {space}))
resource.setrlimit(resource.RLIMIT_CPU, ({time}, {time}))
code = main(sys.argv[2:])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
with open(sys.argv[1], "w") as report:
    json.dump(int(status["VmHWM"].split()[0]) * 1024, report)
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """How a command ended, and its peak of resident memory, bytes."""

    code: int
    errors: str
    peak: int

    def assert_refused(self, *words: str) -> None:
        """It failed with one clear error that has these words, within its memory."""
        assert self.code != 0, "it was accepted"
        assert self.errors.startswith("error: "), self.errors
        assert "Traceback" not in self.errors
        for word in words:
            assert word in self.errors, self.errors
        self.assert_small()

    def assert_small(self) -> None:
        """It stayed within its memory."""
        assert self.peak < MEMORY, f"{self.peak >> 20} MiB"


def run_measured(command: Command, *arguments: str, feed: Iterable[bytes] = ()) -> Measured:
    """Run the command to its end; ``feed`` goes to its stdin for as long as it reads."""
    report, report_writer = os.pipe()
    stdin, feed_writer = os.pipe()
    words = [f"/proc/self/fd/{report_writer}", "--root", str(command.root), *arguments]
    main = _MAIN.format(space=_ADDRESS_SPACE, time=_PROCESSOR_TIME)
    process = subprocess.Popen(
        [sys.executable, "-c", main, *words],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=command.environ(),
        pass_fds=[report_writer],
    )
    for descriptor in (report_writer, stdin):
        os.close(descriptor)
    feeder = threading.Thread(target=_feed, args=(feed_writer, feed))
    feeder.start()
    try:
        _, errors = process.communicate()
    finally:
        process.kill()
        feeder.join()
    with os.fdopen(report) as file:
        text = file.read()
    peak = json.loads(text) if text else sys.maxsize
    return Measured(process.returncode, errors.decode(errors="replace"), peak)


def _feed(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write all pieces, unless the reader goes away, and close."""
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb", buffering=0) as file:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
