"""From nodes to instructions: the rules of each instruction, with BuildKit's error texts.

One function a keyword. They raise :class:`~fastlayer.dockerfile.source.InstructionError`;
:func:`read_instruction` adds the place. Variables are left as written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastlayer.dockerfile.flags import Flags, Kind
from fastlayer.dockerfile.heredocs import parse_opener
from fastlayer.dockerfile.instructions import (
    INSTRUCTIONS,
    Add,
    Arg,
    Argument,
    Cmd,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    InlineFile,
    Instruction,
    KeyValue,
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
from fastlayer.dockerfile.lexer import read_nodes
from fastlayer.dockerfile.mount_flags import read_mount_flag
from fastlayer.dockerfile.nodes import Node, Syntax
from fastlayer.dockerfile.quantities import parse_duration
from fastlayer.dockerfile.quoting import quote
from fastlayer.dockerfile.source import BLANKS, InstructionError, Span, fail, valid
from fastlayer.dockerfile.suggestion import did_you_mean, suggest
from fastlayer.errors import DockerfileError

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*\Z")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_MILLISECOND = 1_000_000
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")
_RUN_FLAGS = {
    "mount": Kind.TEXTS,
    "network": Kind.TEXT,
    "security": Kind.TEXT,
    "device": Kind.TEXTS,
}
_TRANSFER_FLAGS = {
    "chown": Kind.TEXT,
    "chmod": Kind.TEXT,
    "link": Kind.TRUTH,
    "exclude": Kind.TEXTS,
}
_COPY_FLAGS = _TRANSFER_FLAGS | {"from": Kind.TEXT, "parents": Kind.TRUTH}
_ADD_FLAGS = _TRANSFER_FLAGS | {
    "checksum": Kind.TEXT,
    "keep-git-dir": Kind.TRUTH,
    "unpack": Kind.TRUTH,
}
_HEALTH_FLAGS = {
    "interval": Kind.TEXT,
    "timeout": Kind.TEXT,
    "start-period": Kind.TEXT,
    "start-interval": Kind.TEXT,
    "retries": Kind.TEXT,
}

#: The fields that every instruction takes over from its node.
_Common = Mapping[str, Any]


def read_instruction(node: Node, syntax: Syntax, *, span: Span | None = None) -> Instruction:
    """Give a node its meaning.

    Parameters
    ----------
    node:
        The node.
    syntax:
        The file it is from, for messages.
    span:
        The lines to put the instruction at; those of the node where not given.

    Raises
    ------
    DockerfileError
        The instruction breaks a rule.
    """
    place = span or Span(node.first, node.last)
    try:
        return _read(node, place)
    except InstructionError as error:
        line, column = _find(error.token, node, syntax)
        fail(
            error.message,
            hint=error.hint,
            file=syntax.file,
            line=line if span is None else place.first,
            column=column,
            source=syntax.lines[line - 1],
            length=len(error.token) or None,
        )


def parse_trigger(
    expression: str, *, file: str = "Dockerfile", span: Span | None = None
) -> Instruction:
    """The instruction that an image's ``Config.OnBuild`` holds as text.

    Parameters
    ----------
    expression:
        The text, heredoc bodies included.
    file, span:
        Where the instruction that triggers it stands, usually a FROM.

    Raises
    ------
    DockerfileError
        The text is not one instruction that may be a trigger.
    """
    place = span or Span(1, 1)
    try:
        syntax = read_nodes(expression.encode("utf-8", "surrogateescape"), file=file)
        if len(syntax.nodes) != 1:
            raise InstructionError("onbuild trigger should be a single expression")
        _refuse_trigger(syntax.nodes[0].keyword)
        return read_instruction(syntax.nodes[0], syntax, span=place)
    except (InstructionError, DockerfileError) as error:
        message = f"{error.message} (in the trigger {quote(valid(expression))})"
        fail(message, hint=error.hint, file=file, line=place.first)


def _find(token: str, node: Node, syntax: Syntax) -> tuple[int, int]:
    """Line and column of a word of the node, or of the instruction where it is not found."""
    if token:
        for number in range(node.first, node.last + 1):
            column = syntax.lines[number - 1].find(token)
            if column >= 0:
                return number, column + 1
    line = syntax.lines[node.first - 1]
    return node.first, len(line) - len(line.lstrip(BLANKS)) + 1


def _read(node: Node, span: Span) -> Instruction:
    keyword = node.keyword.upper()
    reader = _READERS.get(keyword)
    if reader is None:
        shown = valid(node.keyword)
        found = suggest(shown, INSTRUCTIONS, case_sensitive=False)
        hint = f"did you mean {found}?" if found else None
        raise InstructionError(f"unknown instruction: {shown}", hint=hint, token=shown)
    node = _valid_node(node, keyword)
    common = {
        "keyword": node.keyword,
        "span": span,
        "original": node.original.strip(BLANKS),
        "flags": node.flags,
        "comments": node.comments,
    }
    return reader(node, common)


def _valid_node(node: Node, keyword: str) -> Node:
    """The node in valid UTF-8: image documents hold nothing else.

    LABEL and MAINTAINER get U+FFFD for what is not, as Docker has always done; anywhere else the
    bytes would have a meaning that would be lost.
    """
    texts = (node.original, *node.words, *node.flags)
    if keyword in ("RUN", "ONBUILD"):
        texts += tuple(heredoc.content for heredoc in node.heredocs)
    if all(valid(text) == text for text in texts):
        return node
    if keyword not in ("LABEL", "MAINTAINER"):
        raise InstructionError(
            f"{keyword} holds bytes that are not UTF-8", hint="save the file as UTF-8"
        )
    return node.replace(
        original=valid(node.original),
        words=tuple(valid(word) for word in node.words),
        flags=tuple(valid(flag) for flag in node.flags),
    )


def _at_least_one(node: Node, keyword: str) -> None:
    if not node.words and node.child is None:
        raise InstructionError(f"{keyword} requires at least one argument")


def _exactly_one(node: Node, keyword: str) -> str:
    if len(node.words) != 1:
        raise InstructionError(f"{keyword} requires exactly one argument")
    return node.words[0]


def _command_line(node: Node) -> CommandLine:
    if node.json:
        return CommandLine(node.words, shell=False)
    return CommandLine((" ".join(node.words),) if node.words else (), shell=True)


def _from(node: Node, common: _Common) -> From:
    stage = separator = ""
    if len(node.words) == 3 and node.words[1].lower() == "as":
        separator, stage = node.words[1:]
        if not _STAGE_NAME.match(stage.lower()):
            raise InstructionError(
                f"invalid name for build stage: {quote(stage)}, "
                "name can't start with a number or contain symbols",
                token=stage,
            )
    elif len(node.words) != 1:
        raise InstructionError("FROM requires either one or three arguments")
    flags = Flags(node.flags, {"platform": Kind.TEXT})
    return From(
        base=node.words[0],
        stage=stage.lower(),
        stage_written=stage,
        separator=separator,
        platform=flags.text("platform"),
        **common,
    )


def description(comments: tuple[str, ...], name: str) -> str:
    """What a comment ``# name text`` says about a stage or an argument; empty where none does."""
    for comment in comments:
        if name and comment.startswith(f"{name} "):
            return comment[len(name) + 1 :]
    return ""


def _arg(node: Node, common: _Common) -> Arg:
    _at_least_one(node, "ARG")
    Flags(node.flags)
    arguments = []
    for word in node.words:
        key, equals, value = word.partition("=")
        if not key:
            raise InstructionError("ARG names can not be blank", token=word)
        arguments.append(
            Argument(
                key=key,
                default=value if equals else None,
                description=description(node.comments, key),
            )
        )
    return Arg(arguments=tuple(arguments), **common)


def _run(node: Node, common: _Common) -> Run:
    flags = Flags(node.flags, _RUN_FLAGS)
    if flags.texts("device"):
        raise InstructionError("RUN --device is not supported", token="--device")
    network = flags.text("network", "default")
    if network not in _NETWORKS:
        hint = did_you_mean(network, _NETWORKS)
        raise InstructionError(f"invalid network mode {quote(network)}", hint=hint, token=network)
    security = flags.text("security", "sandbox")
    if security not in _SECURITIES:
        hint = did_you_mean(security, _SECURITIES)
        raise InstructionError(
            f"security {quote(security)} is not valid", hint=hint, token=security
        )
    return Run(
        command=_command_line(node),
        heredocs=node.heredocs,
        mount_flags=tuple(read_mount_flag(text) for text in flags.texts("mount")),
        network=network,
        security=security,
        **common,
    )


def _transfer_fields(node: Node, flags: Flags, keyword: str) -> dict[str, Any]:
    """The sources, the heredocs among them, the destination and the flags of COPY and ADD."""
    *words, destination = node.words
    if _opens(destination):
        raise InstructionError(
            f"{keyword} cannot accept a heredoc as a destination", token=destination
        )
    bodies = {heredoc.name: heredoc for heredoc in node.heredocs}
    sources: list[str] = []
    contents: list[InlineFile] = []
    for word in words:
        name = _opens(word)
        if name in bodies:
            body = bodies[name]
            contents.append(InlineFile(name=name, content=body.text, expand=body.expand))
        else:
            sources.append(word)
    return {
        "sources": tuple(sources),
        "contents": tuple(contents),
        "destination": destination,
        "chown": flags.text("chown"),
        "chmod": flags.text("chmod"),
        "link": bool(flags.truth("link")),
        "exclude": flags.texts("exclude"),
    }


def _opens(word: str) -> str:
    try:
        opened = parse_opener(word)
    except ValueError:
        return ""
    return opened.name if opened else ""


def _two_words(node: Node, keyword: str) -> None:
    if len(node.words) < 2:
        raise InstructionError(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )


def _copy(node: Node, common: _Common) -> Copy:
    _two_words(node, "COPY")
    flags = Flags(node.flags, _COPY_FLAGS)
    return Copy(
        from_=flags.text("from"),
        parents=bool(flags.truth("parents")),
        **_transfer_fields(node, flags, "COPY"),
        **common,
    )


def _add(node: Node, common: _Common) -> Add:
    _two_words(node, "ADD")
    flags = Flags(node.flags, _ADD_FLAGS)
    return Add(
        checksum=flags.text("checksum"),
        keep_git_dir=flags.truth("keep-git-dir"),
        unpack=flags.truth("unpack"),
        **_transfer_fields(node, flags, "ADD"),
        **common,
    )


def _pairs(node: Node, keyword: str) -> tuple[KeyValue, ...]:
    Flags(node.flags)
    _at_least_one(node, keyword)
    triples = zip(node.words[::3], node.words[1::3], node.words[2::3], strict=True)
    pairs = tuple(KeyValue(key, value, legacy=not equals) for key, value, equals in triples)
    if not all(pair.key for pair in pairs):
        raise InstructionError(f"{keyword} names can not be blank")
    return pairs


def _env(node: Node, common: _Common) -> Env:
    return Env(pairs=_pairs(node, "ENV"), **common)


def _label(node: Node, common: _Common) -> Label:
    return Label(pairs=_pairs(node, "LABEL"), **common)


def _workdir(node: Node, common: _Common) -> Workdir:
    path = _exactly_one(node, "WORKDIR")
    Flags(node.flags)
    return Workdir(path=path, **common)


def _user(node: Node, common: _Common) -> User:
    user = _exactly_one(node, "USER")
    Flags(node.flags)
    return User(user=user, **common)


def _maintainer(node: Node, common: _Common) -> Maintainer:
    author = _exactly_one(node, "MAINTAINER")
    Flags(node.flags)
    return Maintainer(author=author, **common)


def _stop_signal(node: Node, common: _Common) -> StopSignal:
    signal = _exactly_one(node, "STOPSIGNAL")
    Flags(node.flags)
    return StopSignal(signal=signal, **common)


def _cmd(node: Node, common: _Common) -> Cmd:
    Flags(node.flags)
    return Cmd(command=_command_line(node), **common)


def _entrypoint(node: Node, common: _Common) -> Entrypoint:
    Flags(node.flags)
    return Entrypoint(command=_command_line(node), **common)


def _shell(node: Node, common: _Common) -> Shell:
    Flags(node.flags)
    _at_least_one(node, "SHELL")
    if not node.json:
        raise InstructionError(
            "SHELL requires the arguments to be in JSON form", hint='as in SHELL ["/bin/sh", "-c"]'
        )
    return Shell(words=node.words, **common)


def _expose(node: Node, common: _Common) -> Expose:
    _at_least_one(node, "EXPOSE")
    Flags(node.flags)
    return Expose(ports=tuple(sorted(node.words)), **common)


def _volume(node: Node, common: _Common) -> Volume:
    _at_least_one(node, "VOLUME")
    Flags(node.flags)
    paths = tuple(word.strip(BLANKS) for word in node.words)
    if not all(paths):
        raise InstructionError("VOLUME specified can not be an empty string")
    return Volume(paths=paths, **common)


def _healthcheck(node: Node, common: _Common) -> Healthcheck:
    _at_least_one(node, "HEALTHCHECK")
    kind = node.words[0].upper()
    if kind == "NONE":
        if len(node.words) > 1:
            raise InstructionError("HEALTHCHECK NONE takes no arguments", token=node.words[1])
        if node.flags:
            raise InstructionError("HEALTHCHECK NONE takes no flags", token=node.flags[0])
        return Healthcheck(test=("NONE",), **common)
    flags = Flags(node.flags, _HEALTH_FLAGS)
    if kind != "CMD":
        raise InstructionError(
            f"Unknown type {quote(kind)} in HEALTHCHECK (try CMD)", token=node.words[0]
        )
    command = _command_line(node.replace(words=node.words[1:]))
    if not command.words:
        raise InstructionError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        test=("CMD-SHELL" if command.shell else "CMD", *command.words),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
        **common,
    )


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise InstructionError(str(error), token=text) from None
    if duration and duration < _MILLISECOND:
        raise InstructionError(f"Interval {quote(name)} cannot be less than 1ms", token=text)
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    if not _WHOLE_NUMBER.match(text) or abs(int(text)) >= 2**31:
        raise InstructionError(f"--retries is not a number: {quote(text)}", token=text)
    if int(text) < 0:
        raise InstructionError(f"--retries cannot be negative ({int(text)})", token=text)
    return int(text)


def _refuse_trigger(keyword: str) -> None:
    name = keyword.upper()
    if name == "ONBUILD":
        raise InstructionError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("MAINTAINER", "FROM"):
        raise InstructionError(f"{name} isn't allowed as an ONBUILD trigger", token=keyword)


def _onbuild(node: Node, common: _Common) -> Onbuild:
    _at_least_one(node, "ONBUILD")
    Flags(node.flags)
    if node.child is None:
        raise InstructionError("ONBUILD requires at least one argument")
    _refuse_trigger(node.child.keyword)
    expression = _ONBUILD.sub("", node.original, count=1)
    for heredoc in node.heredocs:
        expression += f"\n{heredoc.content}{heredoc.name}"
    try:
        trigger = parse_trigger(expression, span=common["span"])
    except DockerfileError as error:
        raise InstructionError(error.message, hint=error.hint, token=node.child.keyword) from None
    return Onbuild(expression=expression, trigger=trigger, **common)


_READERS: dict[str, Callable[[Node, _Common], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
