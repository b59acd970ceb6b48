"""Archives that Go, Python, GNU tar and libarchive read differently: each is documented."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.support.requirements import REPOSITORY, corpus

READERS = ("go", "python", "gnutar", "bsdtar")
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|([0-3][0-7]{2}))")


def test_every_archive_that_readers_do_not_read_alike_is_documented() -> None:
    document = (REPOSITORY / "docs" / "formats" / "tar.md").read_text()
    listings = json.loads((corpus("tars") / "LISTINGS.json").read_text())["listings"]
    differing = [one["file"] for one in listings if len({reading(one[r]) for r in READERS}) > 1]
    assert len(differing) > 15
    assert [name for name in differing if f"`{name}`" not in document] == []


def reading(listing: dict[str, Any]) -> tuple[object, ...]:
    """The names that a reader finds, and whether it complains."""
    if "entries" in listing:
        names = [entry["name"] for entry in listing["entries"]]
    else:
        names = listing.get("names", [])
    failed = bool(listing.get("error") or listing.get("exit"))
    return (tuple(as_bytes(name).rstrip(b"/") for name in names), failed)


def as_bytes(name: str) -> bytes:
    """A name from the form in which its reader prints bytes that are no text."""
    if name.startswith("base64:"):
        return base64.b64decode(name.removeprefix("base64:"))
    plain = _ESCAPED.sub(lambda m: chr(int(m[1], 16) if m[1] else int(m[2], 8)), name)
    try:
        return plain.encode("latin-1")
    except UnicodeEncodeError:
        return plain.encode()
