"""The hashes of docs/formats/store.md, as 32 bytes."""

from __future__ import annotations

import hashlib

from blake3 import blake3

_CONTENT = "fastlayer content v1"
_CHECKSUM = "fastlayer checksum v1"
_TREE = "fastlayer tree v1"


def content_id(data: bytes) -> bytes:
    """What objects and segments are named by."""
    return blake3(data, derive_key_context=_CONTENT).digest()


def checksum(data: bytes) -> bytes:
    """What closes the store's own files."""
    return blake3(data, derive_key_context=_CHECKSUM).digest()


def tree_hash(data: bytes) -> bytes:
    """What tree ids are made of."""
    return blake3(data, derive_key_context=_TREE).digest()


def keyed(context: str, data: bytes) -> bytes:
    """BLAKE3 in another ``derive_key`` context."""
    return blake3(data, derive_key_context=context).digest()


def plain(data: bytes) -> bytes:
    """BLAKE3 without a context."""
    return blake3(data).digest()


def sha256(data: bytes) -> bytes:
    """SHA-256, as DiffIDs, documents and blobs have it."""
    return hashlib.sha256(data).digest()
