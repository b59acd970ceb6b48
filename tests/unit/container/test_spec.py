from __future__ import annotations

import json

import pytest
from fastlayer.container import capabilities
from fastlayer.container.mounts import Mount
from fastlayer.container.spec import (
    Device,
    ProcessSpec,
    Ulimit,
    complete_environment,
    runtime_config,
)
from fastlayer.container.user import ResolvedUser
from fastlayer.errors import ContainerError


def spec(**changes: object) -> ProcessSpec:
    values: dict[str, object] = {
        "arguments": ("echo", "hi"),
        "environment": ("A=1",),
        "working_directory": "/srv",
        "user": ResolvedUser(),
        "hostname": "host",
        "cgroup": "/fastlayer/id",
    }
    return ProcessSpec(**{**values, **changes})  # type: ignore[arg-type]


def section(config: dict[str, object], *path: str) -> object:
    value: object = config
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def test_the_whole_configuration_of_a_plain_process() -> None:
    fourteen = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_SYS_CHROOT",
        "CAP_MKNOD",
        "CAP_AUDIT_WRITE",
        "CAP_SETFCAP",
    ]
    config = runtime_config(spec(), "/run/root")
    assert json.loads(json.dumps(config)) == config
    assert config["ociVersion"] == "1.0.2"
    assert config["hostname"] == "host"
    assert config["root"] == {"path": "/run/root", "readonly": False}
    assert config["process"] == {
        "terminal": False,
        "user": {"uid": 0, "gid": 0, "additionalGids": []},
        "args": ["echo", "hi"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "A=1",
            "HOME=/",
        ],
        "cwd": "/srv",
        "capabilities": {"bounding": fourteen, "effective": fourteen, "permitted": fourteen},
        "noNewPrivileges": False,
    }
    mounts = config["mounts"]
    assert isinstance(mounts, list)
    assert [(m["type"], m["destination"]) for m in mounts] == [
        ("proc", "/proc"),
        ("tmpfs", "/dev"),
        ("devpts", "/dev/pts"),
        ("sysfs", "/sys"),
        ("cgroup", "/sys/fs/cgroup"),
        ("mqueue", "/dev/mqueue"),
        ("tmpfs", "/dev/shm"),
    ]
    assert "ro" in mounts[3]["options"]
    assert "size=67108864" in mounts[6]["options"]
    assert section(config, "linux", "cgroupsPath") == "/fastlayer/id"
    assert section(config, "linux", "namespaces") == [
        {"type": "pid"},
        {"type": "ipc"},
        {"type": "uts"},
        {"type": "mount"},
    ]
    masked = section(config, "linux", "maskedPaths")
    assert isinstance(masked, list)
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/timer_list"} <= set(masked)
    assert section(config, "linux", "readonlyPaths") == [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ]
    rules = section(config, "linux", "resources", "devices")
    assert isinstance(rules, list)
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"} in rules


def test_no_network_is_a_namespace_of_its_own() -> None:
    namespaces = section(runtime_config(spec(network="none"), "/r"), "linux", "namespaces")
    assert {"type": "network"} in namespaces  # type: ignore[operator]


def test_another_user_than_root_keeps_only_the_bounding_set() -> None:
    config = runtime_config(spec(user=ResolvedUser(1000, 1000, (10,), "/home/app")), "/r")
    assert section(config, "process", "capabilities") == {"bounding": list(capabilities.DEFAULT)}
    assert section(config, "process", "user", "additionalGids") == [10]
    assert "HOME=/home/app" in section(config, "process", "env")  # type: ignore[operator]


def test_a_privileged_process_sees_everything() -> None:
    device = Device("/dev/kvm", "c", 10, 232, 0o660)
    config = runtime_config(spec(privileged=True, devices=(device,)), "/r")
    linux = section(config, "linux")
    assert isinstance(linux, dict)
    assert "maskedPaths" not in linux
    assert "readonlyPaths" not in linux
    assert linux["resources"] == {"devices": [{"allow": True, "access": "rwm"}]}
    assert linux["devices"][0]["path"] == "/dev/kvm"


def test_own_mounts_follow_and_replace_the_standard_ones() -> None:
    own = (
        Mount("bind", "/data", "/srv/data", read_only=True),
        Mount("bind", "/dev/shm", "/srv/shm"),
    )
    mounts = runtime_config(spec(mounts=own), "/r")["mounts"]
    assert isinstance(mounts, list)
    assert mounts[-2] == {
        "destination": "/data",
        "type": "bind",
        "source": "/srv/data",
        "options": ["rbind", "rprivate", "ro"],
    }
    assert [m["destination"] for m in mounts].count("/dev/shm") == 1


def test_limits_are_passed_on() -> None:
    config = runtime_config(spec(ulimits=(Ulimit("nofile", 10, 20),)), "/r")
    assert section(config, "process", "rlimits") == [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}
    ]


@pytest.mark.parametrize("text", ["a\0b", "a\udcffb"])
def test_what_cannot_be_passed_is_refused(text: str) -> None:
    with pytest.raises(ContainerError):
        runtime_config(spec(arguments=(text,)), "/r")


def test_path_and_home_are_set_only_where_they_are_missing() -> None:
    assert complete_environment(("PATH=/x", "HOME=/y"), "/root") == ("PATH=/x", "HOME=/y")
