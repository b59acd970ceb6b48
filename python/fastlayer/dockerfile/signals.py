"""The signals that STOPSIGNAL may name: those of Linux."""

from __future__ import annotations

from fastlayer.dockerfile.source import InstructionError
from fastlayer.dockerfile.suggestion import did_you_mean

_NAMES = [
    *("ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT"),
    *("KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM"),
    *("TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
    *("RTMIN", *(f"RTMIN+{offset}" for offset in range(1, 16))),
    *("RTMAX", *(f"RTMAX-{offset}" for offset in range(1, 15))),
]
_LARGEST = 64


def check_signal(signal: str) -> None:
    """Refuse what is neither the number nor the name of a signal.

    Raises
    ------
    InstructionError
        There is no such signal.
    """
    if signal.isascii() and signal.isdigit():
        if not (len(signal) < 4 and 1 <= int(signal) <= _LARGEST):
            raise InstructionError(f"invalid signal: {signal}", token=signal)
        return
    name = signal.upper().removeprefix("SIG")
    if name not in _NAMES:
        hint = did_you_mean(name, _NAMES, prefix="SIG")
        raise InstructionError(f"invalid signal: {signal}", hint=hint, token=signal)
