"""What a check must be told beside the Dockerfile: bases, build arguments, ignore rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastlayer.value import Value

_LINUX = {
    f"{side}{name}": value
    for side in ("BUILD", "TARGET")
    for name, value in (
        ("PLATFORM", "linux/amd64"),
        ("OS", "linux"),
        ("OSVERSION", ""),
        ("ARCH", "amd64"),
        ("VARIANT", ""),
    )
}


class BaseImage(Value):
    """What counts of a base image: its environment, whether it sets a SHELL, its platform."""

    environment: Mapping[str, str]
    has_shell: bool = False
    platform: str = ""


class Facts(Value):
    """What the text does not say.

    ``predefined`` are the platform arguments; ``given`` the values of ``--build-arg``; ``target``
    the stage to be built, empty for all. ``base`` finds a base image by name and platform; where it
    gives ``None`` nothing is said about variables of stages that start from it.
    ``ignore_patterns`` are those of the ignore file, and ``is_ignored`` says whether a path of the
    context matches them; without it nothing is said about ignored files.
    """

    predefined: Mapping[str, str] = _LINUX
    given: Mapping[str, str] = {}
    target: str = ""
    base: Callable[[str, str], BaseImage | None] | None = None
    ignore_patterns: tuple[str, ...] = ()
    is_ignored: Callable[[str], bool] | None = None
