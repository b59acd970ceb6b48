"""Image configs: what an image runs, on which platform, of which layers, and how it was made.

Invariants: a config that was read keeps its bytes (``raw``), so that the image id never changes;
members unknown here are carried along when one is changed. OCI's members come first, docker's
``Healthcheck``, ``OnBuild`` and ``Shell`` follow them, as BuildKit writes them.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastlayer.oci.digest import is_digest, sha256_digest
from fastlayer.oci.document import Node, encode, parse
from fastlayer.oci.history import HistoryEntry, read_history_entry
from fastlayer.oci.platform import Platform
from fastlayer.value import Value

_KNOWN = frozenset(
    {
        "created",
        "author",
        "architecture",
        "variant",
        "os",
        "os.version",
        "os.features",
        "config",
        "rootfs",
        "history",
    }
)
_KNOWN_RUNTIME = frozenset(
    {
        "User",
        "ExposedPorts",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "Labels",
        "StopSignal",
        "ArgsEscaped",
        "Healthcheck",
        "OnBuild",
        "Shell",
    }
)
_KNOWN_HEALTHCHECK = frozenset(
    {"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}
)


class Healthcheck(Value):
    """How a container is asked whether it is well; times in nanoseconds, 0 means inherited."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0
    extra: Mapping[str, object] = {}

    def to_value(self) -> dict[str, object]:
        """The health check as a JSON object."""
        value: dict[str, object] = {}
        if self.test:
            value["Test"] = list(self.test)
        numbers = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
            "Retries": self.retries,
        }
        value.update({name: number for name, number in numbers.items() if number})
        value.update(self.extra)
        return value


class RuntimeConfig(Value):
    """The ``config`` section: the defaults of a container.

    ``None`` for ``entrypoint``, ``cmd`` and ``shell`` means not set, which an empty tuple does not.
    ``exposed_ports`` (``80/tcp``) and ``volumes`` are sets, kept sorted.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = {}
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    extra: Mapping[str, object] = {}

    def environment(self) -> dict[str, str]:
        """``env`` as a mapping; the last of two settings of a name wins."""
        pairs = (setting.partition("=") for setting in self.env)
        return {name: value for name, _, value in pairs}

    def to_value(self) -> dict[str, object]:
        """The section as a JSON object; what is not set is left out."""
        value: dict[str, object] = {}
        if self.user:
            value["User"] = self.user
        if self.exposed_ports:
            value["ExposedPorts"] = {port: {} for port in sorted(self.exposed_ports)}
        if self.env:
            value["Env"] = list(self.env)
        if self.entrypoint is not None:
            value["Entrypoint"] = list(self.entrypoint)
        if self.cmd is not None:
            value["Cmd"] = list(self.cmd)
        if self.volumes:
            value["Volumes"] = {volume: {} for volume in sorted(self.volumes)}
        if self.working_dir:
            value["WorkingDir"] = self.working_dir
        if self.labels:
            value["Labels"] = dict(sorted(self.labels.items()))
        if self.stop_signal:
            value["StopSignal"] = self.stop_signal
        if self.args_escaped:
            value["ArgsEscaped"] = True
        if self.healthcheck is not None:
            value["Healthcheck"] = self.healthcheck.to_value()
        if self.on_build:
            value["OnBuild"] = list(self.on_build)
        if self.shell is not None:
            value["Shell"] = list(self.shell)
        value.update(self.extra)
        return value


class ImageConfig(Value, hidden=("raw",)):
    """A whole config document. ``created`` is an RFC 3339 time, empty where it is not known."""

    architecture: str
    os: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    created: str = ""
    author: str = ""
    config: RuntimeConfig = RuntimeConfig()
    diff_ids: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    extra: Mapping[str, object] = {}
    raw: bytes | None = None

    @property
    def digest(self) -> str:
        """The image id: the digest of :meth:`to_json`."""
        return sha256_digest(self.to_json())

    @property
    def platform(self) -> Platform:
        """What the image runs on."""
        return Platform(self.os, self.architecture, self.variant, self.os_version, self.os_features)

    def to_value(self) -> dict[str, object]:
        """The document as a JSON object, its keys sorted as BuildKit and Docker sort them."""
        value: dict[str, object] = {
            "architecture": self.architecture,
            "os": self.os,
            "config": self.config.to_value(),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
        }
        if self.history:
            value["history"] = [entry.to_value() for entry in self.history]
        texts = {
            "variant": self.variant,
            "os.version": self.os_version,
            "created": self.created,
            "author": self.author,
        }
        value.update({name: text for name, text in texts.items() if text})
        if self.os_features:
            value["os.features"] = list(self.os_features)
        value.update(self.extra)
        return dict(sorted(value.items()))

    def to_json(self) -> bytes:
        """The bytes it was read from, else compact JSON."""
        return self.raw if self.raw is not None else encode(self.to_value())

    @staticmethod
    def from_json(data: bytes, document: str = "image config") -> ImageConfig:
        """Check and read a config; ``document`` is what an error calls it.

        Raises
        ------
        DocumentError
            Where it breaks the schema.
        """
        node = parse(data, document)
        section = node.child("config")
        rootfs = node.child("rootfs")
        kind = rootfs.members() and rootfs.child("type").text()
        if kind != "layers":
            raise rootfs.fail(f"type {kind!r} is not supported, only 'layers'")
        # docker leaves diff_ids out where there is no layer, though the schema asks for it.
        for diff_id in rootfs.child("diff_ids").items():
            if not is_digest(diff_id.text()):
                raise diff_id.fail(f"{diff_id.text()!r} is not a digest")
        return ImageConfig(
            architecture=node.child("architecture").text(),
            os=node.child("os").text(),
            variant=node.optional_text("variant"),
            os_version=node.optional_text("os.version"),
            os_features=node.texts("os.features"),
            created=node.optional_time("created"),
            author=node.optional_text("author"),
            config=RuntimeConfig() if section.value is None else _read_runtime_config(section),
            diff_ids=rootfs.texts("diff_ids"),
            history=tuple(read_history_entry(entry) for entry in node.child("history").items()),
            extra=node.other_members(_KNOWN),
            raw=data,
        )


def empty_config(platform: Platform) -> ImageConfig:
    """The config that ``FROM scratch`` starts from: no layers, nothing set."""
    return ImageConfig(architecture=platform.architecture, os=platform.os, variant=platform.variant)


def _read_runtime_config(node: Node) -> RuntimeConfig:
    node.members()
    for setting in node.child("Env").items():
        if "=" not in setting.text():
            raise setting.fail(f"{setting.text()!r} is not NAME=value")
    healthcheck = node.child("Healthcheck")
    return RuntimeConfig(
        user=node.optional_text("User"),
        exposed_ports=node.keys_of_set("ExposedPorts"),
        env=node.texts("Env"),
        entrypoint=node.optional_texts("Entrypoint"),
        cmd=node.optional_texts("Cmd"),
        volumes=node.keys_of_set("Volumes"),
        working_dir=node.optional_text("WorkingDir"),
        labels=node.text_map("Labels"),
        stop_signal=node.optional_text("StopSignal"),
        args_escaped=node.optional_flag("ArgsEscaped"),
        healthcheck=None if healthcheck.value is None else _read_healthcheck(healthcheck),
        on_build=node.texts("OnBuild"),
        shell=node.optional_texts("Shell"),
        extra=node.other_members(_KNOWN_RUNTIME),
    )


def _read_healthcheck(node: Node) -> Healthcheck:
    node.members()
    return Healthcheck(
        test=node.texts("Test"),
        interval=node.optional_integer("Interval"),
        timeout=node.optional_integer("Timeout"),
        start_period=node.optional_integer("StartPeriod"),
        start_interval=node.optional_integer("StartInterval"),
        retries=node.optional_integer("Retries"),
        extra=node.other_members(_KNOWN_HEALTHCHECK),
    )
