"""Image names as docker reads them: ``[domain/]path[:tag][@digest]``.

``site`` means ``docker.io/library/site``. A familiar name leaves out what docker adds; a canonical
name says everything. Pure: nothing is looked up.
"""

from __future__ import annotations

import re

from fastlayer.errors import ReferenceFormatError
from fastlayer.value import Value, replace

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAXIMUM_NAME = 255
"""Longest name, domain and path together, in characters."""

_OFFICIAL = "library/"
_ALIASES = {"index.docker.io": DEFAULT_DOMAIN}

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


class Reference(Value, kw_only=False):
    """A parsed name. ``tag`` and ``digest`` are None where the text has none."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Domain and path: ``docker.io/library/site``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it: ``site``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        official = self.path.removeprefix(_OFFICIAL)
        return official if "/" not in official else self.path

    @property
    def canonical(self) -> str:
        """Everything said: ``docker.io/library/site:latest``."""
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """As people write it, with tag and digest where there are any: ``site:latest``."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def with_default_tag(self) -> Reference:
        """The reference, tagged ``latest`` where it has neither a tag nor a digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.familiar


def parse_reference(text: str) -> Reference:
    """Read an image name; no tag is added.

    Raises
    ------
    ReferenceFormatError
        Where the text is no name; says which part is wrong.
    """
    if _IDENTIFIER.fullmatch(text):
        raise ReferenceFormatError(
            f"{text!r} is an image id, not a name", hint="write sha256:… for an id"
        )
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ReferenceFormatError(f"{text!r}: {digest!r} is not a digest")
    head, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ReferenceFormatError(f"{text!r}: {tag!r} is not a tag")
    domain, path = _split_domain(head + slash + last)
    if not _DOMAIN.fullmatch(domain):
        raise ReferenceFormatError(f"{text!r}: {domain!r} is not a registry's name")
    if not _PATH.fullmatch(path):
        if path != path.lower() and _PATH.fullmatch(path.lower()):
            raise ReferenceFormatError(
                f"{text!r}: a repository name must be lowercase", hint=f"write {text.lower()!r}"
            )
        raise ReferenceFormatError(f"{text!r} is not an image name")
    if len(domain) + 1 + len(path) > MAXIMUM_NAME:
        raise ReferenceFormatError(f"{text!r}: longer than {MAXIMUM_NAME} characters")
    return Reference(domain, path, tag or None, digest or None)


def _split_domain(name: str) -> tuple[str, str]:
    head, slash, path = name.partition("/")
    named = slash and ("." in head or ":" in head or head == "localhost" or head != head.lower())
    domain, path = (head, path) if named else (DEFAULT_DOMAIN, name)
    domain = _ALIASES.get(domain, domain)
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def fetch_hint(text: str) -> str:
    """The commands that bring an image into the store, as a hint.

    The archive is told the image's name, since skopeo would write none by itself and the loaded
    image could then not be found by it. An archive has no place for a name with a digest.
    """
    name = parse_reference(text).with_default_tag().canonical
    archive = "x.tar" if "@" in name else f"x.tar:{name}"
    return f"skopeo copy docker://{name} oci-archive:{archive} && fastlayer load -i x.tar"
