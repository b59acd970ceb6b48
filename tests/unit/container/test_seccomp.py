from __future__ import annotations

from collections.abc import Mapping

import pytest
from fastlayer.container import capabilities
from fastlayer.container.seccomp import profile


def rules(names: tuple[str, ...], machine: str = "x86_64") -> list[Mapping[str, object]]:
    section = profile(names, machine)
    assert section is not None
    found = section["syscalls"]
    assert isinstance(found, list)
    return found


def allowed(names: tuple[str, ...]) -> set[str]:
    first = rules(names)[0]["names"]
    assert isinstance(first, list)
    return set(first)


def test_the_default_set_may_not_mount_or_trace_the_kernel() -> None:
    calls = allowed(capabilities.DEFAULT)
    assert {"read", "openat2", "execve", "chroot", "ptrace", "futex"} <= calls
    assert not {"mount", "bpf", "init_module", "reboot", "unshare", "setns", "clone3"} & calls


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_BPF", "bpf"),
    ],
)
def test_a_capability_brings_its_calls(capability: str, call: str) -> None:
    assert call not in allowed(capabilities.DEFAULT)
    assert call in allowed((*capabilities.DEFAULT, capability))


def test_clone_may_not_make_namespaces_and_clone3_is_as_if_missing() -> None:
    found = {str(rule["names"]): rule for rule in rules(capabilities.DEFAULT)}
    clone = found["['clone']"]["args"]
    assert clone == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert found["['clone3']"]["errnoRet"] == 38


def test_a_machine_without_a_table_has_no_filter() -> None:
    assert profile(capabilities.DEFAULT, "vax") is None
