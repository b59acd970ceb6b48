"""The same case built by fastlayer and by the Docker Engine, and how the two images differ.

Trees are compared path by path and field by field, mtimes included: only that both were made
during the run counts as equal. Configurations are compared key by key, histories entry by entry.

Four differences are the same in any build and are no part of the comparison:

- a directory that the engine made for a COPY, or put something into, has the time of the build;
  here it keeps its own time, or takes that of the newest thing copied, so that a layer is the
  same at any hour;
- engine 20.10 prints the ports of EXPOSE as a Go map, and later BuildKits as a list;
- it leaves ``--chown`` and ``--chmod`` out of COPY's history, where later ones print them;
- of an ARG it prints the default, where later ones print the value.
"""

from __future__ import annotations

import json
import re
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.build_case import PreparedCase
from tests.support.command import Command
from tests.support.docker_engine import DockerEngine
from tests.support.stand_ins import StandIn
from tests.support.tree_compare import (
    Node,
    differences,
    equal_when_new,
    merge,
    name_groups,
    read_tar,
)

CONTAINER_KEYS = frozenset(
    {
        *("Hostname", "Domainname", "Image"),
        *("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty"),
    }
)
"""What the engine keeps of the container that an image was made from: no part of an image."""

HISTORY_KEYS = ("created_by", "empty_layer", "comment", "author")
TOP_KEYS = ("architecture", "os", "variant", "author")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What a builder made: the merged tree and the config document."""

    tree: Mapping[str, Node]
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """What a builder said when it failed."""

    message: str

    @property
    def last(self) -> str:
        """The line that says why."""
        lines = [line for line in self.message.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1]


Outcome = BuiltImage | FailedBuild


@dataclass(slots=True)
class BuildPair:
    """Both builders, each with its store, for the time of a test run."""

    engine: DockerEngine
    command: Command
    folder: Path
    start: float = field(default_factory=time.time)
    layers: dict[str, dict[str, Node]] = field(default_factory=dict)
    bases: list[StandIn] = field(default_factory=list)

    def need(self, base: StandIn) -> None:
        """Load a base image into both stores, once."""
        if base not in self.bases:
            archive = base.write(self.folder)
            self.engine.run("load", "-i", str(archive))
            self.command.run("load", "-i", archive)
            archive.unlink()
            self.bases.append(base)

    def build_with_docker(self, prepared: PreparedCase) -> Outcome:
        """Build with the engine."""
        case = prepared.case
        tag = f"conformance-{case.id.lower()}"
        words = ["build", "--network", "host", "-t", tag]
        words += ["-f", str(prepared.rewritten or prepared.dockerfile)]
        if not case.classic:
            words += ["--progress", "plain", *prepared.secret_flags]
        words += [*_options(prepared), str(prepared.context)]
        done = self.engine.run(*words, check=False, buildkit=not case.classic)
        if done.returncode:
            return FailedBuild(done.stderr + done.stdout)
        archive = self.folder / "docker.tar"
        saved = self.engine.run("save", "-o", str(archive), tag, check=False)
        if "empty export" in saved.stderr:
            return BuiltImage({}, self._inspect(tag))
        try:
            return self._read_archive(archive)
        finally:
            archive.unlink()

    def build_with_fastlayer(self, prepared: PreparedCase) -> Outcome:
        """Build with the command."""
        from fastlayer.store import Store

        tree, name = self.folder / "fastlayer.tar", self.folder / "fastlayer.iid"
        words = ["build", "--progress=plain", "-f", str(prepared.dockerfile)]
        words += ["-o", f"type=tar,dest={tree}", "-o", "type=image", "--iidfile", str(name)]
        words += [*prepared.secret_flags, *_options(prepared)]
        done = self.command.run(*words, prepared.context, check=False)
        if done.returncode:
            return FailedBuild(done.stderr.decode(errors="replace"))
        try:
            config = json.loads(Store(self.command.root).get_document(name.read_text()))
            return BuiltImage(name_groups(read_tar(tree)), config)
        finally:
            tree.unlink()
            name.unlink()

    def compare(self, docker: Outcome, ours: Outcome, prepared: PreparedCase) -> list[str]:
        """Every difference of the two outcomes, and from what the case says; a line each."""
        case = prepared.case
        history = not case.classic and not prepared.rewritten
        if isinstance(docker, FailedBuild) and isinstance(ours, FailedBuild):
            if not case.fails:
                return [f"build: fails in both: {ours.last} (engine: {docker.last})"]
            place = re.search(r"error: [^\n]*?:(\d+): ", ours.message)
            if case.line and (place is None or int(place[1]) != prepared.line):
                return [f"build: not at line {prepared.line}: {ours.last}"]
            return []
        if isinstance(docker, FailedBuild):
            return [f"build: fails in the engine only: {docker.last}"]
        if isinstance(ours, FailedBuild):
            return [f"build: fails here only: {ours.last}"]
        if case.fails:
            return [f"build: fails in neither, should at line {prepared.line}"]
        return self.differences(docker, ours, history=history)

    def differences(self, docker: BuiltImage, ours: BuiltImage, *, history: bool) -> list[str]:
        """Every difference, a line each: ``/path: …``, ``config.KEY: …``, ``history[N]: …``."""
        trees = differences(
            equal_when_new(docker.tree, self.start),
            equal_when_new(ours.tree, self.start),
            ignore_fields=(),
        )
        lines = [line for line in trees if not self._is_directory_time(line, docker.tree)]
        return lines + config_differences(docker.config, ours.config, history=history)

    def _is_directory_time(self, line: str, tree: Mapping[str, Node]) -> bool:
        path, found, _ = line.partition(f": mtime {int(self.start)} != ")
        return bool(found) and tree[path.lstrip("/")].kind == "directory"

    def _inspect(self, tag: str) -> Mapping[str, Any]:
        """The config document of an image without layers, which the engine cannot save."""
        shown = json.loads(self.engine.run("image", "inspect", tag).stdout)[0]
        lines = self.engine.run("history", "--no-trunc", "--format", "{{json .}}", tag).stdout
        rows = [json.loads(line) for line in reversed(lines.splitlines())]
        history = [
            {"created_by": row["CreatedBy"], "comment": row["Comment"], "empty_layer": True}
            for row in rows
        ]
        top = {key: shown.get(key.capitalize()) for key in TOP_KEYS}
        return {**top, "config": shown["Config"], "history": history}

    def _read_archive(self, path: Path) -> BuiltImage:
        with tarfile.open(path) as archive:
            manifest = json.load(_member(archive, "manifest.json"))[0]
            config = json.load(_member(archive, manifest["Config"]))
            layers = []
            for digest, name in zip(
                config["rootfs"]["diff_ids"] or [], manifest["Layers"] or [], strict=True
            ):
                if digest not in self.layers:
                    self.layers[digest] = read_tar(_member(archive, name))
                layers.append(self.layers[digest])
        return BuiltImage(merge(layers), config)


def config_differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], *, history: bool = True
) -> list[str]:
    """How two config documents differ; values that say nothing are as good as none."""
    lines = []
    for key in TOP_KEYS:
        if (expected.get(key) or "") != (found.get(key) or ""):
            lines.append(f"{key}: {expected.get(key)!r} != {found.get(key)!r}")
    left, right = _said(expected.get("config")), _said(found.get("config"))
    for key in sorted((left.keys() | right.keys()) - CONTAINER_KEYS):
        if left.get(key) != right.get(key):
            lines.append(f"config.{key}: {left.get(key)!r} != {right.get(key)!r}")
    if not history:
        return lines
    entries = [list(document.get("history") or []) for document in (expected, found)]
    if len(entries[0]) != len(entries[1]):
        lines.append(f"history: {len(entries[0])} entries != {len(entries[1])} entries")
    for number, (one, other) in enumerate(zip(*entries, strict=False)):
        for key in HISTORY_KEYS:
            one_value, other_value = _history_value(one, key), _history_value(other, key)
            if one_value != other_value:
                lines.append(f"history[{number}].{key}: {one_value!r} != {other_value!r}")
    return lines


def _history_value(entry: Mapping[str, Any], key: str) -> Any:
    value = entry.get(key)
    if key != "created_by" or not value:
        return value or None
    if ports := re.fullmatch(r"EXPOSE map\[(.*)\]", value):
        return f"EXPOSE [{ports[1].replace(':{}', '')}]"
    if value.startswith(("COPY ", "ADD ")):
        return re.sub(r" --ch(own|mod)=\S+", "", value)
    if value.startswith("ARG "):
        return re.sub(r"(\w+)=.*?(?= \w+=|$)", r"\1", value)
    return value


def _said(config: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (config or {}).items() if value}


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found is not None, name
    return found


def _options(prepared: PreparedCase) -> list[str]:
    case = prepared.case
    words = [f"--build-arg={key}={value}" for key, value in case.arguments.items()]
    return [*words, f"--target={case.target}"] if case.target else words
