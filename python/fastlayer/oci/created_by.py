"""The ``created_by`` texts of history, word for word as BuildKit writes them.

One pure function an instruction. Arguments are the words after expansion. What never shows: the
flags ``--from``, ``--link``, ``--exclude``, ``--checksum`` and the mounts of a RUN; ONBUILD makes
no entry when it is declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fastlayer.oci.config import Healthcheck
from fastlayer.oci.go_text import format_duration, quote

COMMENT = "buildkit.dockerfile.v0"
"""The ``comment`` of every entry that a Dockerfile instruction makes."""

_LAYER_SUFFIX = " # buildkit"


def run(arguments: Sequence[str], build_arguments: Mapping[str, str] | None = None) -> str:
    """RUN; ``arguments`` with the shell in front where the form is shell's.

    ``build_arguments``: the declared ARGs in order of declaration, with the values in force.
    """
    words = [f"{name}={value}" for name, value in (build_arguments or {}).items()]
    if words:
        words.insert(0, f"|{len(words)}")
    return "RUN " + " ".join([*words, *arguments]) + _LAYER_SUFFIX


def copy(
    instruction: str,
    sources: Iterable[str],
    destination: str,
    *,
    heredocs: Iterable[str] = (),
    parents: bool = False,
    chown: str = "",
    chmod: str = "",
) -> str:
    """COPY or ADD, as ``instruction`` says; ``heredocs`` are the names of inline sources."""
    words = [instruction]
    if parents:
        words.append("--parents")
    if chown:
        words.append(f"--chown={chown}")
    if chmod:
        words.append(f"--chmod={chmod}")
    words += [*sources, *(f"<<{name}" for name in heredocs), destination]
    return " ".join(words) + _LAYER_SUFFIX


def workdir(path: str) -> str:
    """WORKDIR, the path absolute; it has no suffix though it can make a layer."""
    return f"WORKDIR {path}"


def env(settings: Iterable[tuple[str, str]]) -> str:
    """ENV."""
    return _settings("ENV", settings)


def label(settings: Iterable[tuple[str, str]]) -> str:
    """LABEL."""
    return _settings("LABEL", settings)


def expose(ports: Iterable[str]) -> str:
    """EXPOSE; ``ports`` of this instruction, for instance ``80/tcp``."""
    return f"EXPOSE [{' '.join(sorted(ports))}]"


def cmd(arguments: Sequence[str]) -> str:
    """CMD, with the shell in front where the form is shell's."""
    return "CMD " + _quoted(arguments)


def entrypoint(arguments: Sequence[str]) -> str:
    """ENTRYPOINT, with the shell in front where the form is shell's."""
    return "ENTRYPOINT " + _quoted(arguments)


def healthcheck(check: Healthcheck) -> str:
    """HEALTHCHECK."""
    return (
        f"HEALTHCHECK {{Test:[{' '.join(check.test)}]"
        f" Interval:{format_duration(check.interval)} Timeout:{format_duration(check.timeout)}"
        f" StartPeriod:{format_duration(check.start_period)}"
        f" StartInterval:{format_duration(check.start_interval)} Retries:{check.retries}}}"
    )


def user(name: str) -> str:
    """USER."""
    return f"USER {name}"


def stopsignal(signal: str) -> str:
    """STOPSIGNAL."""
    return f"STOPSIGNAL {signal}"


def volume(paths: Iterable[str]) -> str:
    """VOLUME."""
    return f"VOLUME [{' '.join(paths)}]"


def shell(arguments: Iterable[str]) -> str:
    """SHELL."""
    return f"SHELL [{' '.join(arguments)}]"


def arg(declarations: Iterable[tuple[str, str | None]]) -> str:
    """ARG; a declaration without a default has None."""
    words = (name if value is None else f"{name}={value}" for name, value in declarations)
    return " ".join(["ARG", *words])


def maintainer(name: str) -> str:
    """MAINTAINER."""
    return f"MAINTAINER {name}"


def _settings(instruction: str, settings: Iterable[tuple[str, str]]) -> str:
    return " ".join([instruction, *(f"{name}={value}" for name, value in settings)])


def _quoted(arguments: Sequence[str]) -> str:
    return "[" + " ".join(quote(argument) for argument in arguments) + "]"
