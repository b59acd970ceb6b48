"""Little-endian numbers and runs of bytes, taken from a file one after the other."""

from __future__ import annotations

from tests.conformance.formats.reader.refusal import check


class Fields:
    """A place in some bytes; each call goes on behind what it gives."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        """The next bytes, all of them."""
        check(0 <= count <= self.left, f"cut short at byte {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        """A number of that many bytes."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def digests(self, count: int) -> tuple[bytes, ...]:
        """Hashes of 32 bytes."""
        data = self.take(32 * count)
        return tuple(data[at : at + 32] for at in range(0, len(data), 32))

    def seven_bits(self) -> int:
        """A number written seven bits a byte, the lowest first."""
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            check(shift < 64, "a number without an end")

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at
