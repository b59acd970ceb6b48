"""Platforms: operating system, architecture and its variant, as Go names them."""

from __future__ import annotations

import os
import re

from fastlayer.errors import UsageError
from fastlayer.value import Value

_MACHINES = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
    "mips64": ("mips64", ""),
    "mips64le": ("mips64le", ""),
}
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd", "macos", "wasip1", "js"})
_ARCHITECTURES = frozenset(
    {"386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x", "loong64", "mips64", "mips64le"}
)
_PART = re.compile(r"[A-Za-z0-9_.-]+")


class Platform(Value, kw_only=False):
    """What an image runs on, for instance ``linux/arm64``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def normalised(self) -> Platform:
        """Synonyms replaced and default variants written one way: arm64/v8 is arm64, arm is v7."""
        architecture, implied = _MACHINES.get(
            self.architecture.lower(), (self.architecture.lower(), "")
        )
        variant = self.variant.lower() or implied
        if variant[:1].isdigit():
            variant = "v" + variant
        if (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}:
            variant = ""
        if architecture == "arm" and not variant:
            variant = "v7"
        system = "darwin" if self.os.lower() == "macos" else self.os.lower()
        return Platform(system, architecture, variant, self.os_version, self.os_features)

    def satisfies(self, wanted: Platform) -> bool:
        """Whether an image of this platform is what ``wanted`` asks for."""
        ours, theirs = self.normalised(), wanted.normalised()
        return (ours.os, ours.architecture, ours.variant) == (
            theirs.os,
            theirs.architecture,
            theirs.variant,
        )


def host_platform() -> Platform:
    """The platform of this machine."""
    name = os.uname()
    architecture, variant = _MACHINES.get(name.machine, (name.machine, ""))
    return Platform(name.sysname.lower(), architecture, variant)


def parse_platform(text: str) -> Platform:
    """Read ``os/arch[/variant]``, ``os`` or ``arch``; what is left out is this machine's.

    Raises
    ------
    UsageError
        Where the text is none of these.
    """
    if "," in text:
        raise UsageError(
            f"{text}: several platforms at once are not supported",
            hint="give one, and do it again for each of the others",
        )
    parts = text.split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > 3:
        raise UsageError(
            f"{text!r} is not a platform", hint="write os/arch or os/arch/variant: linux/arm64"
        )
    host = host_platform()
    if len(parts) == 1:
        word = parts[0].lower()
        if word in _SYSTEMS:
            return Platform(word, host.architecture, host.variant).normalised()
        architecture, variant = _MACHINES.get(word, (word, ""))
        if architecture not in _ARCHITECTURES:
            raise UsageError(
                f"{text!r} is neither an operating system nor an architecture",
                hint="write os/arch or os/arch/variant: linux/arm64",
            )
        return Platform(host.os, architecture, variant).normalised()
    return Platform(parts[0], parts[1], parts[2] if len(parts) == 3 else "").normalised()
