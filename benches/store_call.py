"""``python -m benches.store_call STORE VERB ARGUMENTS…``: one call of the library as a process.

What a call made is durable when the process ends. It prints a JSON object: ``result``, the digest
or key that the call gave, and ``peak``, the most memory that the process had, in bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from benches.rounds import run_process


@dataclass(frozen=True, slots=True)
class StoreCalls:
    """Makes calls on one store, each in a process of its own."""

    root: Path

    def words(self, verb: str, *arguments: str | Path) -> list[str]:
        """The command line of a call."""
        words = [sys.executable, "-m", "benches.store_call", str(self.root), verb]
        return [*words, *(str(argument) for argument in arguments)]

    def run(self, verb: str, *arguments: str | Path) -> str:
        """Make a call; gives its result."""
        return self.parse(run_process(self.words(verb, *arguments)))[0]

    def run_on(self, source: list[str], verb: str, *arguments: str | Path) -> tuple[str, int]:
        """Make a call that reads what another program writes; gives its result and its peak."""
        with subprocess.Popen(source, stdout=subprocess.PIPE) as writer:
            words = self.words(verb, *arguments)
            done = subprocess.run(words, stdin=writer.stdout, capture_output=True, check=True)
        if writer.returncode:
            raise RuntimeError(f"{' '.join(source)}: exit {writer.returncode}")
        return self.parse(done.stdout)

    @staticmethod
    def parse(output: bytes) -> tuple[str, int]:
        """Result and peak of what a call printed."""
        values = json.loads(output)
        return str(values["result"]), int(values["peak"])


def main(root: str, verb: str, *arguments: str) -> int:
    """Make the call."""
    from fastlayer.store import Context, CopyOperation, CopySource, Store

    def packages(folder: str, cache: str) -> tuple[Context, CopyOperation]:
        context = Context(folder, [], cache=cache)
        return context, CopyOperation([CopySource.context(context, b"site")], b"/opt/site")

    store = Store(root)
    if verb == "ingest":
        with open_input(arguments[0]) as file:
            result = store.import_layer(file.fileno()).diff_id
        store.sync()
    elif verb == "copy":
        context, operation = packages(*arguments)
        result = store.copy_layer([], operation).diff_id
        context.save()
        store.sync()
    elif verb == "walk":
        context, operation = packages(*arguments)
        result = store.copy_key(operation)
        context.save()
    elif verb == "export":
        diff_id, codec, path = arguments
        with Path(path).open("wb") as file:
            result = store.export_blob(diff_id, codec=codec, fd=file.fileno()).digest
    elif verb == "tree":
        result, folder = arguments
        store.write_tree([result], folder)
    else:
        sys.stderr.write(f"error: unknown call {verb}\n")
        return 2
    json.dump({"result": result, "peak": peak_memory()}, sys.stdout)
    return 0


def open_input(name: str) -> BinaryIO:
    """A file, or standard input for ``-``."""
    return os.fdopen(0, "rb") if name == "-" else Path(name).open("rb")


def peak_memory() -> int:
    """The most memory that this process had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the kernel does not tell the peak of a process's memory")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
