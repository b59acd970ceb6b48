"""Images and their names: docs/formats/refs.md."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.formats.reader.refusal import OtherVersionError, check

VERSION = 1


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image: the digests of its config and of the manifest that it came with."""

    config: str
    manifest: str | None


@dataclass(frozen=True, slots=True)
class NameFile:
    """A name: the config digest for each platform, and what it was loaded as."""

    name: str
    images: dict[str, str]
    digest: str | None
    media_type: str


def read_images(root: Path) -> list[ImageFile]:
    """All images of a store."""
    found = []
    for path in sorted((root / "refs" / "images").glob("*.json")):
        document = _document(path)
        image = ImageFile(document["config"], document["manifest"])
        check(image.config == f"sha256:{path.stem}", f"{path} is another image's")
        found.append(image)
    return found


def read_names(root: Path) -> list[NameFile]:
    """All names of a store."""
    found = []
    for path in sorted((root / "refs" / "names").glob("*.json")):
        document = _document(path)
        name = document["name"]
        check(path.name == file_name(name), f"{path} is another name's")
        found.append(NameFile(name, document["images"], document["digest"], document["mediaType"]))
    return found


def file_name(reference: str) -> str:
    """The file of a canonical reference."""
    text = reference.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")
    if len(text) > 240:
        text = f"{text[:150]}%{hashlib.sha256(reference.encode()).hexdigest()}"
    return f"{text}.json"


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    if document["version"] != VERSION:
        raise OtherVersionError(f"{path.name} is of version {document['version']}")
    return document
