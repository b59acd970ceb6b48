"""What a caller asks of a build, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastlayer.oci.platform import Platform

NETWORKS = ("default", "host", "none")
"""The values of ``--network``."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: the bytes of a file, or of a variable of the caller's environment."""

    id: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The settings of a build; the defaults are ``docker build``'s."""

    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    """The stage to build; the last one where empty."""
    network: str = "default"
    use_cache: bool = True
    strict_cache: bool = False
    platform: Platform | None = None
    """This machine's where it is ``None``."""
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    keep_image: bool = True
    """Whether the result becomes an image of the store."""
