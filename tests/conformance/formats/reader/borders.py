"""Where a layer's tar is cut into segments and slices: docs/formats/segment.md, "Borders"."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.formats.reader.hashes import plain
from tests.conformance.formats.reader.tar import Member, members

LARGE = 131_072
SLICE = 4_194_304
ENOUGH = 1_048_576
CHANCE = 65_536
ONE_OF = 16
LIMIT = 2_097_152
SMALL = 4_096


@dataclass(frozen=True, slots=True)
class Run:
    """A run of tar bytes; ``of_object`` says that it is a slice of a content."""

    start: int
    end: int
    of_object: bool = False


class _Cutter:
    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.start = 0

    def end(self, at: int) -> None:
        """What is gathered ends here, if it is anything."""
        if at > self.start:
            self.runs.append(Run(self.start, at))
        self.start = at

    def gather(self, end: int) -> None:
        """Bytes up to here may be cut anywhere."""
        while end - self.start >= LIMIT:
            self.end(self.start + LIMIT)

    def gather_whole(self, end: int) -> None:
        """Bytes up to here are not cut before their end."""
        if end - self.start >= LIMIT:
            self.end(end)

    def slices(self, start: int, end: int) -> None:
        """A content that is cut out."""
        self.end(start)
        for at in range(start, end, SLICE):
            self.runs.append(Run(at, min(at + SLICE, end), of_object=True))
        self.start = end


def runs_of(tar: bytes) -> list[Run]:
    """The runs of a layer's tar, in order."""
    cutter = _Cutter()
    for member in members(tar):
        cutter.gather(member.start)
        gathered = member.start - cutter.start
        if gathered >= ENOUGH or (gathered >= CHANCE and plain(member.name)[0] % ONE_OF == 0):
            cutter.end(member.start)
        cutter.gather(member.content)
        _content(cutter, member)
    cutter.gather(len(tar))
    cutter.end(len(tar))
    return cutter.runs


def _content(cutter: _Cutter, member: Member) -> None:
    end = member.content + member.stored
    if member.pieces is not None or member.stored <= SMALL:
        cutter.gather(end)
    elif member.stored >= LARGE:
        cutter.slices(member.content, end)
    else:
        cutter.gather_whole(end)
