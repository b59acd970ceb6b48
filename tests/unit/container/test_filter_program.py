"""The kernel's program of a profile says what the profile says, for every call there is."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from fastlayer.container import capabilities, filter_program, seccomp, system_calls

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
EPERM, ENOSYS = 1, 38
AUDIT = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003}


def run(program: bytes, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """What the program says of a call: a plain reading of classic BPF."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("<HBBI", program))
    position = accumulator = 0
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            position += value
        elif code == 0x15:
            position += if_true if accumulator == value else if_false
        elif code == 0x35:
            position += if_true if accumulator >= value else if_false
        else:
            assert code == 0x06
            return int(value)


def expected(profile: dict[str, Any], name: str) -> int:
    """The verdict over a call whose arguments are all 0."""
    for rule in profile["syscalls"]:
        if name in rule["names"]:
            if rule["action"] != "SCMP_ACT_ALLOW":
                return ERRNO | int(rule["errnoRet"])
            (argument,) = rule.get("args", [{"op": "", "value": 0}])
            if argument["op"] == "SCMP_CMP_EQ" and argument["value"] != 0:
                continue
            return ALLOW
    return ERRNO | EPERM


@pytest.mark.parametrize("names", [capabilities.DEFAULT, capabilities.ALL, ()])
@pytest.mark.parametrize("architecture", sorted(AUDIT))
def test_every_call_has_the_verdict_of_the_profile(
    names: tuple[str, ...], architecture: str
) -> None:
    profile: Any = seccomp.profile(names, "x86_64")
    program = filter_program.compile_profile(profile)
    numbers = system_calls.numbers(architecture)
    assert numbers is not None
    wrong = [
        name
        for name, number in numbers.items()
        if run(program, number, AUDIT[architecture]) != expected(profile, name)
    ]
    assert wrong == []


def test_arguments_decide() -> None:
    profile: Any = seccomp.profile(capabilities.DEFAULT, "x86_64")
    program = filter_program.compile_profile(profile)
    table = system_calls.numbers("SCMP_ARCH_X86_64")
    assert table is not None

    def verdict(name: str, *arguments: int) -> int:
        return run(program, table[name], AUDIT["SCMP_ARCH_X86_64"], arguments)

    refused = ERRNO | EPERM
    assert verdict("socket", 38) == verdict("socket", 40) == refused
    # To the kernel the family is a number of 32 bits.
    assert verdict("socket", 38 | 1 << 32) == verdict("socket", 40 | 1 << 32) == refused
    assert {verdict("socket", family) for family in (0, 1, 2, 16, 37, 39, 41, 45)} == {ALLOW}
    assert verdict("clone", 0x10000000) == refused  # a user namespace
    assert verdict("clone", 0x003D0F00) == ALLOW  # a thread
    assert verdict("personality", 0x8) == verdict("personality", 0xFFFFFFFF) == ALLOW
    assert verdict("personality", 0x40000) == verdict("personality", 8 | 1 << 40) == refused


def test_unknown_calls_and_machines() -> None:
    profile: Any = seccomp.profile(capabilities.DEFAULT, "x86_64")
    program = filter_program.compile_profile(profile)
    x32 = 0x40000000 | 1
    assert run(program, 5000, AUDIT["SCMP_ARCH_X86_64"]) == ERRNO | ENOSYS
    assert run(program, x32, AUDIT["SCMP_ARCH_X86_64"]) == ERRNO | ENOSYS
    assert run(program, 1, 0x12345678) == ERRNO | EPERM
    other: Any = seccomp.profile(capabilities.DEFAULT, "s390x")
    assert filter_program.compile_profile(other) == b""


def test_the_kernel_takes_its_length() -> None:
    for machine in ("x86_64", "aarch64", "riscv64"):
        profile: Any = seccomp.profile(capabilities.ALL, machine)
        assert 0 < len(filter_program.compile_profile(profile)) // 8 <= 4096
