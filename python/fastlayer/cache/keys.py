"""Cache keys: hashes of everything a step's result can depend on, and of nothing else.

A key covers the tree the step starts from (its tree id: contents, not times), the normalised
instruction, the content of its inputs, and the configuration that the step can see. Pure: no file,
no clock. A changed rule here needs a new :data:`VERSION`, which makes every old record miss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from fastlayer.value import Value

VERSION = b"fastlayer step key v1"
"""The domain of the hash."""


class KeyParts(Value, kw_only=False, hidden=("input_names",)):
    """What a step depends on, each part by itself so that a miss can be explained."""

    tree: str
    """Tree id (or, in strict mode, the DiffIDs) of what the step starts from."""
    instruction: tuple[str, ...]
    """The normalised instruction: its name, flags and words after expansion."""
    inputs: tuple[str, ...] | None
    """Content keys of what it copies or mounts; ``None`` while they are not known."""
    configuration: tuple[str, ...]
    """Environment, user, working directory, platform, network: what the step can see."""
    input_names: tuple[str, ...] = ()
    """What the inputs are called when a miss is explained; no part of the key."""

    def key(self) -> str:
        """The cache key, as hex.

        Raises
        ------
        ValueError
            The inputs are not known.
        """
        if self.inputs is None:
            raise ValueError("a key needs its inputs")
        return digest(
            VERSION,
            [
                [self.tree],
                self.instruction,
                self.inputs,
                self.configuration,
            ],
        )

    def fingerprints(self) -> dict[str, str]:
        """A short hash of each part, kept with a record to say later which part changed."""
        return {
            "base": self.tree,
            "instruction": digest(b"instruction", [self.instruction])[:16],
            "inputs": digest(b"inputs", [self.inputs or ()])[:16],
            "configuration": digest(b"configuration", [self.configuration])[:16],
        }


def digest(domain: bytes, groups: Iterable[Sequence[str]]) -> str:
    """Hash lists of texts so that no two different inputs give the same bytes to the hash.

    Each group is preceded by its length and each text by its own, in 8 bytes.
    """
    state = hashlib.blake2b(digest_size=32, person=hashlib.blake2b(domain, digest_size=16).digest())
    for group in groups:
        state.update(len(group).to_bytes(8, "big"))
        for text in group:
            data = text.encode("utf-8", "surrogateescape")
            state.update(len(data).to_bytes(8, "big"))
            state.update(data)
    return state.hexdigest()


def chain_name(chain: Sequence[str]) -> str:
    """A name for a chain of DiffIDs, under which its tree id is remembered."""
    return digest(b"fastlayer chain v1", [tuple(chain)])
