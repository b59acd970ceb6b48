"""Layers laid out for mounting: docs/formats/checkout.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.conformance.formats.reader.refusal import check


@dataclass(frozen=True, slots=True)
class Checkout:
    """A directory below ``checkouts/TOKEN/KIND``.

    ``linked`` maps row numbers of the tree index to object ids, ``deferred`` has the row numbers of
    files that are left to stubs.
    """

    folder: Path
    kind: str
    layers: list[str]
    linked: dict[int, bytes]
    deferred: list[int]

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.folder.name

    @property
    def files(self) -> Path:
        """The overlay's lower directory."""
        return self.folder / "fs"


@dataclass(frozen=True, slots=True)
class MountList:
    """What a chain is mounted from, the topmost first; ``stubs`` is the lowest, if any."""

    folder: Path
    layers: list[str]
    lowers: list[str]
    stubs: str | None


def read_checkouts(root: Path) -> list[Checkout]:
    """All checkouts of a store but lists."""
    found = []
    for folder in sorted((root / "checkouts").glob("*/*/*")):
        if folder.name.startswith("list-") or folder.name == "empty":
            continue
        linked = _bytes(folder / "linked")
        check(len(linked) % 36 == 0, "links of another size")
        pairs = [linked[at : at + 36] for at in range(0, len(linked), 36)]
        check(pairs == sorted(pairs), "links out of order")
        numbers = _bytes(folder / "deferred")
        check(len(numbers) % 4 == 0, "row numbers of another size")
        deferred = [_row(numbers[at : at + 4]) for at in range(0, len(numbers), 4)]
        check(deferred == sorted(set(deferred)), "row numbers out of order")
        found.append(
            Checkout(
                folder,
                folder.parent.name,
                (folder / "layers").read_text().splitlines(),
                {_row(pair[32:]): pair[:32] for pair in pairs},
                deferred,
            )
        )
    return found


def read_lists(root: Path) -> list[MountList]:
    """What each chain that was mounted is mounted from."""
    found = []
    for folder in sorted((root / "checkouts").glob("*/*/list-*")):
        stubs = folder / "stubs"
        found.append(
            MountList(
                folder,
                (folder / "layers").read_text().splitlines(),
                (folder / "lowers").read_text().splitlines(),
                stubs.read_text().rstrip("\n") if stubs.exists() else None,
            )
        )
    return found


def _row(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
