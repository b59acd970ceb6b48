"""The file systems that ``RUN --mount`` lays into a step: what was written, and what it means.

A :class:`MountFlag` is the flag as written, before variables are expanded; only its ``from`` is
final, for that is never expanded. :func:`fastlayer.dockerfile.expand_instruction` turns flags into
the typed mounts. Nothing here knows how a mount is made.
"""

from __future__ import annotations

from fastlayer.value import Value


class MountFlag(Value, kw_only=False):
    """One ``--mount`` as written: its text and its fields in order, keys in lower case.

    ``fields`` holds (key, value), with the value ``None`` where there is no ``=``.
    """

    text: str
    fields: tuple[tuple[str, str | None], ...]

    @property
    def from_(self) -> str:
        """The stage, image or named context to take from; empty for the build context."""
        found = ""
        for key, value in self.fields:
            if key == "from" and value is not None:
                found = value
        return found


class Mount(Value):
    """What all mounts have. ``target`` may be relative: it is joined to the working directory."""

    target: str


class BindMount(Mount):
    """``type=bind``: files of the context, a stage or an image; what is written is dropped.

    An empty ``from_`` means the build context, an empty ``source`` the root.
    """

    source: str = ""
    from_: str = ""
    read_only: bool = True


class CacheMount(Mount):
    """``type=cache``: a directory that is kept between builds.

    An empty ``id`` means the cleaned target. ``sharing`` is ``shared``, ``private`` or ``locked``.
    ``from_`` and ``source`` say what a new cache starts with. ``mode``, ``uid`` and ``gid`` are
    those of a new empty one, ``None`` where not given.
    """

    id: str = ""
    read_only: bool = False
    sharing: str = "shared"
    from_: str = ""
    source: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class TmpfsMount(Mount):
    """``type=tmpfs``: memory, empty at the start; ``size`` is the limit in bytes, 0 for none."""

    size: int = 0
    read_only: bool = False


class SecretMount(Mount):
    """``type=secret``: a secret of the build as a file, an environment variable, or both.

    ``target`` is empty where only the variable ``env`` is wanted. ``mode``, ``uid`` and ``gid``
    are ``None`` where not given (0400, 0 and 0 then).
    """

    id: str
    env: str | None = None
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class SshMount(Mount):
    """``type=ssh``: the socket of an SSH agent; an empty ``target`` lets the builder choose.

    ``mode``, ``uid`` and ``gid`` are ``None`` where not given (0600, 0 and 0 then).
    """

    id: str = "default"
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
