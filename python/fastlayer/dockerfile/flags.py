"""The ``--flags`` of an instruction, checked against those it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

from fastlayer.dockerfile.source import InstructionError
from fastlayer.dockerfile.suggestion import did_you_mean


class Kind(Enum):
    """What a flag's value is."""

    TRUTH = "truth"
    TEXT = "text"
    TEXTS = "texts"


class Flags:
    """The values of an instruction's flags.

    Parameters
    ----------
    written:
        The flags as written, without quotes.
    known:
        What the instruction knows.

    Raises
    ------
    InstructionError
        A flag is unknown, was given twice, or has no fitting value.
    """

    def __init__(self, written: Sequence[str], known: Mapping[str, Kind] | None = None) -> None:
        self._truths: dict[str, bool] = {}
        self._texts: dict[str, list[str]] = {}
        for flag in written:
            self._add(flag, known or {})

    def _add(self, flag: str, known: Mapping[str, Kind]) -> None:
        head, equals, value = flag.partition("=")
        name = head[2:]
        if name not in known:
            hint = did_you_mean(name, known, prefix="--")
            raise InstructionError(f"unknown flag: {head}", hint=hint, token=head)
        kind = known[name]
        if kind is not Kind.TEXTS and (name in self._texts or name in self._truths):
            raise InstructionError(f"duplicate flag specified: {head}", token=head)
        if kind is Kind.TRUTH:
            if equals and not value:
                raise InstructionError(f"missing a value on flag: {head}", token=head)
            lowered = value.lower()
            if lowered not in ("true", "false", ""):
                message = f"expecting boolean value for flag {head}, not: {value}"
                raise InstructionError(message, token=flag)
            self._truths[name] = lowered != "false"
            return
        if not equals:
            raise InstructionError(f"missing a value on flag: {head}", token=head)
        self._texts.setdefault(name, []).append(value)

    def truth(self, name: str) -> bool | None:
        """The truth value, ``None`` where the flag was not given."""
        return self._truths.get(name)

    def text(self, name: str, default: str = "") -> str:
        """The text, ``default`` where the flag was not given."""
        values = self._texts.get(name)
        return values[0] if values else default

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag that may be repeated."""
        return tuple(self._texts.get(name, ()))
