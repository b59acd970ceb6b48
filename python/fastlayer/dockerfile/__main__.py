"""``python -m fastlayer.dockerfile dump FILE`` and ``check FILE``; ``-`` is standard input.

``dump`` prints the syntax tree as S-expressions and fails on a grammar error only; ``check`` also
applies the rules of each instruction, and prints nothing where all is well.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fastlayer.dockerfile import parse
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.errors import DockerfileError

_USAGE = "usage: python -m fastlayer.dockerfile dump|check FILE\n"


def main(arguments: list[str]) -> int:
    """Run a command; gives the exit code: 0, 1 for a bad Dockerfile, 2 for a bad command line."""
    if len(arguments) != 2 or arguments[0] not in ("dump", "check"):
        sys.stderr.write(_USAGE)
        return 2
    command, file = arguments
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        if command == "check":
            parse(data, file=file)
        else:
            dump = read_nodes(data, file=file).dump()
            sys.stdout.buffer.write(dump.encode("utf-8", "surrogateescape"))
            sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"error: cannot read {file}: {error.strerror}\n")
        return 1
    except DockerfileError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.write(error.excerpt())
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
