"""A profile of system calls as a program for the kernel: seccomp without libseccomp.

Pure. The kernel runs the program (classic BPF: eight bytes an instruction) at every system call
of a filtered process. It looks the call's number up in a tree of comparisons, and compares
arguments where a rule asks for that. Calls newer than our tables get ENOSYS, so that libraries
fall back to older ones, as they do with docker's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fastlayer.container import seccomp, system_calls

_ENOSYS = 38

# Instructions: load a word of the call's data, compare, jump, return.
_LOAD = 0x20
_AND = 0x54
_JUMP = 0x05
_JUMP_EQUAL = 0x15
_JUMP_NOT_LESS = 0x35
_RETURN = 0x06

_RETURN_ALLOW = 0x7FFF0000
_RETURN_ERRNO = 0x00050000

# Where the call's data has what.
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16

_MAXIMUM_JUMP = 255

_AUDIT_NUMBERS = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
}


class Instruction(NamedTuple):
    """One instruction: its code, how far to jump where a comparison holds or not, a number."""

    code: int
    if_true: int = 0
    if_false: int = 0
    value: int = 0


Program = list[Instruction]


class _Interval(NamedTuple):
    """Numbers from ``start`` up to the next interval's have the same fate."""

    start: int
    code: Program


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """The kernel's program of a runtime's ``seccomp`` section.

    Parameters
    ----------
    profile:
        As :func:`fastlayer.container.seccomp.profile` makes it. Architectures without a table
        of numbers here are left out: all calls of theirs are refused.

    Returns
    -------
    The instructions; empty where there is no table for the first architecture, the machine's own.
    """
    architectures = list(profile["architectures"])
    if system_calls.numbers(architectures[0]) is None:
        return b""
    default = _RETURN_ERRNO | profile["defaultErrnoRet"]
    program: Program = [_return(default)]
    for architecture in reversed(architectures):
        numbers = system_calls.numbers(architecture)
        if numbers is None:
            continue
        body = _architecture(numbers, profile["syscalls"], default)
        test = _branch(_JUMP_EQUAL, _AUDIT_NUMBERS[architecture], body, program)
        program = [Instruction(_LOAD, value=_ARCHITECTURE), *test]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


@lru_cache(maxsize=8)
def docker_filter(capabilities: frozenset[str]) -> bytes:
    """The program of docker's profile for a bounding set, on this machine; empty without one."""
    profile = seccomp.profile(capabilities)
    return b"" if profile is None else compile_profile(profile)


def _architecture(
    numbers: Mapping[str, int], rules: Sequence[Mapping[str, Any]], default: int
) -> Program:
    fates: dict[int, Program] = {}
    conditional: dict[int, Program] = {}
    for rule in rules:
        verdict = _return(_verdict(rule))
        arguments = rule.get("args", ())
        for name in rule["names"]:
            number = numbers.get(name)
            if number is None:
                continue  # a call of another architecture
            if not arguments:
                fates[number] = [verdict]
                continue
            (argument,) = arguments
            earlier = conditional.get(number, [])
            conditional[number] = [*earlier, *_compare(argument, verdict)]
    for number, tests in conditional.items():
        fates.setdefault(number, [*tests, _return(default)])
    intervals = _intervals(fates, max(numbers.values()), default)
    return [Instruction(_LOAD, value=_NUMBER), *_search(intervals)]


def _intervals(fates: Mapping[int, Program], last: int, default: int) -> list[_Interval]:
    refused = [_return(default)]
    found: list[_Interval] = []
    for number in range(last + 1):
        code = fates.get(number, refused)
        if not found or found[-1].code != code:
            found.append(_Interval(number, code))
    return [*found, _Interval(last + 1, [_return(_RETURN_ERRNO | _ENOSYS)])]


def _search(intervals: Sequence[_Interval]) -> Program:
    if len(intervals) == 1:
        return list(intervals[0].code)
    middle = len(intervals) // 2
    lower, upper = _search(intervals[:middle]), _search(intervals[middle:])
    return _branch(_JUMP_NOT_LESS, intervals[middle].start, upper, lower)


def _branch(code: int, value: int, held: Program, failed: Program) -> Program:
    """``held`` runs where the comparison of what was loaded with ``value`` holds; both return."""
    if len(failed) <= _MAXIMUM_JUMP:
        return [Instruction(code, len(failed), 0, value), *failed, *held]
    jump = Instruction(_JUMP, value=len(failed))
    return [Instruction(code, 0, 1, value), jump, *failed, *held]


def _compare(argument: Mapping[str, Any], verdict: Instruction) -> Program:
    """Returns the verdict where the argument is as asked; else runs on behind."""
    place = _ARGUMENTS + 8 * argument["index"]
    mask, wanted = 0xFFFF_FFFF_FFFF_FFFF, argument["value"]
    match argument["op"]:
        case "SCMP_CMP_EQ":
            pass
        case "SCMP_CMP_MASKED_EQ":
            mask, wanted = argument["value"], argument["valueTwo"]
        # The kernel takes the arguments that we order for numbers of 32 bits: what stands above
        # them must not lead around the comparison.
        case "SCMP_CMP_LT":
            return [*_half(place, 0xFFFFFFFF), Instruction(_JUMP_NOT_LESS, 1, 0, wanted), verdict]
        case "SCMP_CMP_GT":
            above = Instruction(_JUMP_NOT_LESS, 0, 1, wanted + 1)
            return [*_half(place, 0xFFFFFFFF), above, verdict]
        case unknown:
            raise ValueError(f"comparison {unknown} has no translation")
    low = _half(place, mask & 0xFFFFFFFF)
    high = _half(place + 4, mask >> 32)
    rest = [*high, Instruction(_JUMP_EQUAL, 0, 1, wanted >> 32), verdict]
    return [*low, Instruction(_JUMP_EQUAL, 0, len(rest), wanted & 0xFFFFFFFF), *rest]


def _half(place: int, mask: int) -> Program:
    load = Instruction(_LOAD, value=place)
    return [load] if mask == 0xFFFFFFFF else [load, Instruction(_AND, value=mask)]


def _return(value: int) -> Instruction:
    return Instruction(_RETURN, value=value)


def _verdict(rule: Mapping[str, Any]) -> int:
    if rule["action"] == "SCMP_ACT_ALLOW":
        return _RETURN_ALLOW
    return _RETURN_ERRNO | int(rule["errnoRet"])
