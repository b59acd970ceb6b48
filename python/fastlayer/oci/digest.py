"""Digests of the OCI world: ``algorithm:encoded``, and chain ids.

A digest is a plain ``str`` that was checked where it entered; nothing here reads a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from fastlayer.errors import DocumentError

_PATTERN = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_ENCODED = {"sha256": re.compile(r"[0-9a-f]{64}"), "sha512": re.compile(r"[0-9a-f]{128}")}


def is_digest(text: str) -> bool:
    """Whether the text follows the grammar, and the rules of its algorithm where it is known."""
    if not _PATTERN.fullmatch(text):
        return False
    algorithm, _, encoded = text.partition(":")
    rule = _ENCODED.get(algorithm)
    return rule is None or rule.fullmatch(encoded) is not None


def check_digest(text: str, where: str) -> str:
    """The text, if it is a digest; ``where`` names its place in the error.

    Raises
    ------
    DocumentError
        Where it is none.
    """
    if not is_digest(text):
        raise DocumentError(f"{where}: {text!r} is not a digest")
    return text


def sha256_digest(data: bytes) -> str:
    """``sha256:`` and the hash of ``data`` in hex."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encoded(digest: str) -> str:
    """The part behind the colon."""
    return digest.partition(":")[2]


def short(digest: str) -> str:
    """The first 12 hex digits, as lists show an id."""
    return (encoded(digest) or digest)[:12]


def chain_id(diff_ids: Iterable[str]) -> str:
    """The OCI ChainID of layers given by DiffID, the base's first; empty for no layer."""
    chain = ""
    for diff_id in diff_ids:
        chain = sha256_digest(f"{chain} {diff_id}".encode()) if chain else diff_id
    return chain
