"""Changes of an image config: pure functions that give a new config and leave the old alone.

Every result has lost ``raw``, so that its bytes are written from its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastlayer.oci.config import ImageConfig, RuntimeConfig
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.platform import Platform
from fastlayer.value import replace


def append_layer(config: ImageConfig, diff_id: str, entry: HistoryEntry) -> ImageConfig:
    """One layer more on top, made as ``entry`` says (which must not be an empty-layer entry)."""
    assert not entry.empty_layer
    return replace(
        config,
        diff_ids=(*config.diff_ids, diff_id),
        history=(*config.history, entry),
        created=entry.created or config.created,
        raw=None,
    )


def append_history(config: ImageConfig, entry: HistoryEntry) -> ImageConfig:
    """One entry more that made no layer."""
    return replace(
        config,
        history=(*config.history, replace(entry, empty_layer=True)),
        created=entry.created or config.created,
        raw=None,
    )


def with_runtime(
    config: ImageConfig, change: Callable[[RuntimeConfig], RuntimeConfig] | RuntimeConfig
) -> ImageConfig:
    """The config with another ``config`` section, given whole or as a function of the old one."""
    section = change if isinstance(change, RuntimeConfig) else change(config.config)
    return replace(config, config=section, raw=None)


def with_created(config: ImageConfig, created: str) -> ImageConfig:
    """The config with another time of creation (RFC 3339)."""
    return replace(config, created=created, raw=None)


def with_author(config: ImageConfig, author: str) -> ImageConfig:
    """The config with another author."""
    return replace(config, author=author, raw=None)


def with_platform(config: ImageConfig, platform: Platform) -> ImageConfig:
    """The config for another platform."""
    return replace(
        config,
        os=platform.os,
        architecture=platform.architecture,
        variant=platform.variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
        raw=None,
    )


def set_environment(section: RuntimeConfig, name: str, value: str) -> RuntimeConfig:
    """``name`` set to ``value``: in its old place where it was set before, else at the end."""
    setting = f"{name}={value}"
    settings = list(section.env)
    for place, old in enumerate(settings):
        if old.partition("=")[0] == name:
            settings[place] = setting
            break
    else:
        settings.append(setting)
    return replace(section, env=tuple(settings))


def add_labels(section: RuntimeConfig, labels: Iterable[tuple[str, str]]) -> RuntimeConfig:
    """The labels of the section and these; these win."""
    return replace(section, labels={**section.labels, **dict(labels)})


def add_ports(section: RuntimeConfig, ports: Iterable[str]) -> RuntimeConfig:
    """These ports exposed too; each written ``80/tcp``."""
    return replace(section, exposed_ports=tuple(sorted({*section.exposed_ports, *ports})))


def add_volumes(section: RuntimeConfig, paths: Iterable[str]) -> RuntimeConfig:
    """These paths volumes too."""
    return replace(section, volumes=tuple(sorted({*section.volumes, *paths})))
