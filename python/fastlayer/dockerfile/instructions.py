"""The instructions of a Dockerfile as values: one frozen class for each of the eighteen.

What stands here is what was written, taken apart and checked, with variables not yet expanded
(:func:`fastlayer.dockerfile.expand_instruction` does that). Flags that were not given have their
default. Nothing here knows how an instruction is carried out.
"""

from __future__ import annotations

from typing import ClassVar

from fastlayer.dockerfile.heredocs import Heredoc
from fastlayer.dockerfile.mounts import Mount, MountFlag
from fastlayer.dockerfile.source import Span
from fastlayer.value import Value


class Instruction(Value):
    """What all instructions have.

    ``keyword`` is the first word as written, ``original`` the whole instruction joined to one line
    (without heredoc bodies), ``flags`` the ``--flag`` words as written, ``comments`` the comment
    lines directly above.
    """

    name: ClassVar[str] = ""

    keyword: str
    span: Span
    original: str
    flags: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


class KeyValue(Value, kw_only=False):
    """One pair of ENV or LABEL; ``legacy`` where it was written ``key value``, without ``=``."""

    key: str
    value: str
    legacy: bool = False


class Argument(Value, kw_only=False):
    """One name of ARG; ``default`` is ``None`` where there is no ``=``.

    ``description`` is what a comment ``# name text`` above says.
    """

    key: str
    default: str | None = None
    description: str = ""


class CommandLine(Value, kw_only=False):
    """A command in one of its two forms.

    With ``shell`` set there is one word, the text to hand to SHELL, or none; else the words are the
    program and its arguments (the JSON form).
    """

    words: tuple[str, ...]
    shell: bool

    @property
    def text(self) -> str:
        """The words joined by one blank: the text of the shell form, a display of the other."""
        return " ".join(self.words)


class InlineFile(Value, kw_only=False):
    """A heredoc that is a source of COPY or ADD: a file of that name with that content.

    ``content`` has the tabs of ``<<-`` taken away; ``expand`` is whether variables count in it.
    Bytes that are not UTF-8 are kept as surrogates: encode it with ``surrogateescape``.
    """

    name: str
    content: str
    expand: bool


class From(Instruction):
    """FROM: the base of a stage, as written.

    ``stage`` is the name behind AS in lower case, or empty; ``stage_written`` as written;
    ``platform`` is empty where not given.
    """

    name: ClassVar[str] = "FROM"

    base: str
    stage: str = ""
    stage_written: str = ""
    separator: str = ""
    platform: str = ""


class Arg(Instruction):
    """ARG: names that ``--build-arg`` may set."""

    name: ClassVar[str] = "ARG"

    arguments: tuple[Argument, ...]


class Run(Instruction):
    """RUN: a command, its heredocs and what it runs in.

    ``mount_flags`` are the ``--mount`` as written. ``mounts`` are their meaning: empty here, filled
    by :func:`fastlayer.dockerfile.expand_instruction`, since any value but ``from`` may hold
    variables. ``network`` is ``default``, ``none`` or ``host``; ``security`` is ``sandbox`` or
    ``insecure``.
    """

    name: ClassVar[str] = "RUN"

    command: CommandLine
    heredocs: tuple[Heredoc, ...] = ()
    mount_flags: tuple[MountFlag, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"


class Transfer(Instruction):
    """What COPY and ADD share.

    ``sources`` are the paths (and URLs), ``contents`` the heredocs. ``chown`` and ``chmod`` are
    empty where not given, and checked by :func:`fastlayer.dockerfile.expand_instruction` only.
    """

    sources: tuple[str, ...]
    contents: tuple[InlineFile, ...] = ()
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


class Copy(Transfer):
    """COPY: files of the context, or of the stage, image or named context ``from_``."""

    name: ClassVar[str] = "COPY"

    from_: str = ""
    parents: bool = False


class Add(Transfer):
    """ADD: as COPY from the context, and URLs, git repositories and archives.

    ``unpack`` and ``keep_git_dir`` are ``None`` where not given; ``checksum`` is empty then.
    """

    name: ClassVar[str] = "ADD"

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class Env(Instruction):
    """ENV: variables of the image."""

    name: ClassVar[str] = "ENV"

    pairs: tuple[KeyValue, ...]


class Label(Instruction):
    """LABEL: labels of the image."""

    name: ClassVar[str] = "LABEL"

    pairs: tuple[KeyValue, ...]


class Workdir(Instruction):
    """WORKDIR: the directory for what follows; relative to the one before."""

    name: ClassVar[str] = "WORKDIR"

    path: str


class User(Instruction):
    """USER: who runs what follows: ``user`` or ``user:group``."""

    name: ClassVar[str] = "USER"

    user: str


class Cmd(Instruction):
    """CMD: the default command of the image."""

    name: ClassVar[str] = "CMD"

    command: CommandLine


class Entrypoint(Instruction):
    """ENTRYPOINT: what a container of the image runs."""

    name: ClassVar[str] = "ENTRYPOINT"

    command: CommandLine


class Shell(Instruction):
    """SHELL: the words in front of shell forms that follow."""

    name: ClassVar[str] = "SHELL"

    words: tuple[str, ...]


class Expose(Instruction):
    """EXPOSE: port words, sorted; expansion splits them at blanks and cuts ranges up.

    After :func:`fastlayer.dockerfile.expand_instruction` each is ``number/protocol``.
    """

    name: ClassVar[str] = "EXPOSE"

    ports: tuple[str, ...]


class Volume(Instruction):
    """VOLUME: mount points of the image."""

    name: ClassVar[str] = "VOLUME"

    paths: tuple[str, ...]


class StopSignal(Instruction):
    """STOPSIGNAL: the signal that stops a container, by name or number."""

    name: ClassVar[str] = "STOPSIGNAL"

    signal: str


class Healthcheck(Instruction):
    """HEALTHCHECK: ``test`` as in the image config (``NONE``, or ``CMD``/``CMD-SHELL`` and words).

    Times are in nanoseconds; 0 where not given, and so is ``retries``.
    """

    name: ClassVar[str] = "HEALTHCHECK"

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Onbuild(Instruction):
    """ONBUILD: an instruction for builds that start from this image.

    ``expression`` is what the image config keeps, ``trigger`` the same parsed.
    """

    name: ClassVar[str] = "ONBUILD"

    expression: str
    trigger: Instruction


class Maintainer(Instruction):
    """MAINTAINER: the author of the image (deprecated)."""

    name: ClassVar[str] = "MAINTAINER"

    author: str


#: Every instruction's class by its name in upper case.
INSTRUCTIONS: dict[str, type[Instruction]] = {
    kind.name: kind
    for kind in (
        Add,
        Arg,
        Cmd,
        Copy,
        Entrypoint,
        Env,
        Expose,
        From,
        Healthcheck,
        Label,
        Maintainer,
        Onbuild,
        Run,
        Shell,
        StopSignal,
        User,
        Volume,
        Workdir,
    )
}
