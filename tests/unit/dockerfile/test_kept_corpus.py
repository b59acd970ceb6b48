"""What holds for any Dockerfile holds for what fuzzing kept, and for mutations of it.

The mutations are the same in every run; ``make fuzz`` looks further.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.dockerfile_properties import check_dockerfile

CORPUS = Path(__file__).resolve().parents[3] / "fuzz" / "corpus" / "dockerfile"
MUTATIONS = 5
PIECES = [b"$", b"{", b"}", b"\\\n", b"\n", b"<<E\n", b"\nE\n", b'"', b"[", b"--", b"\xff", b"\0"]


@pytest.mark.parametrize("name", sorted(path.name for path in CORPUS.iterdir()))
def test_kept_input(name: str) -> None:
    kept = (CORPUS / name).read_bytes()
    check_dockerfile(kept)
    dice = random.Random(name)
    for _ in range(MUTATIONS):
        check_dockerfile(mutated(kept, dice))


def test_nothing_at_all() -> None:
    check_dockerfile(b"")


def mutated(data: bytes, dice: random.Random) -> bytes:
    result = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(result) + 1)
        end = min(len(result), at + dice.randrange(20))
        match dice.randrange(4):
            case 0:
                result[at:at] = dice.choice(PIECES)
            case 1:
                del result[at:end]
            case 2:
                place = dice.randrange(len(result) + 1)
                result[place:place] = result[at:end]
            case _:
                result[at:end] = bytes(dice.randrange(256) for _ in range(end - at))
    return bytes(result)
