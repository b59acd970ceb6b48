from __future__ import annotations

import signal

import pytest
from fastlayer.errors import ContainerError, UsageError

from tests.support.requirements import need_core

need_core()

from fastlayer.container import names, network  # noqa: E402
from fastlayer.container.creation import (  # noqa: E402
    CreateRequest,
    command_line,
    overlay_settings,
    process_environment,
)
from fastlayer.container.lifecycle import parse_signal  # noqa: E402
from fastlayer.oci.config import RuntimeConfig  # noqa: E402
from fastlayer.value import replace  # noqa: E402

IMAGE = RuntimeConfig(
    env=("PATH=/bin", "A=1"), entrypoint=("/entry",), cmd=("serve",), working_dir="/srv"
)


@pytest.mark.parametrize(
    ("entrypoint", "command", "words"),
    [
        (None, (), ("/entry", "serve")),
        (None, ("x", "y"), ("/entry", "x", "y")),
        ("/other", (), ("/other",)),
        ("/other", ("x",), ("/other", "x")),
        ("", ("x",), ("x",)),
    ],
)
def test_entrypoint_and_command(
    entrypoint: str | None, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    request = CreateRequest(image_name="i", entrypoint=entrypoint, command=command)
    assert command_line(overlay_settings(IMAGE, request)) == words


def test_no_command_at_all_is_an_error() -> None:
    with pytest.raises(ContainerError, match="no command specified"):
        command_line(overlay_settings(IMAGE, CreateRequest(image_name="i", entrypoint="")))


def test_settings_overlay_the_image() -> None:
    request = CreateRequest(
        image_name="i",
        environment=(("A", "2"), ("B", "3")),
        user="app",
        ports=(("80:80", "80/tcp"),),
        labels=(("l", "v"),),
    )
    section = overlay_settings(IMAGE, request)
    assert section.env == ("PATH=/bin", "A=2", "B=3")
    assert (section.user, section.working_dir) == ("app", "/srv")
    assert section.exposed_ports == ("80/tcp",)
    assert dict(section.labels) == {"l": "v"}


def test_the_process_gets_dockers_variables_first() -> None:
    section = replace(IMAGE, env=("A=1", "TERM=vt100"))
    assert process_environment(section, "box", True) == (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=box",
        "TERM=vt100",
        "A=1",
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", signal.SIGTERM),
        ("sigquit", signal.SIGQUIT),
        ("9", 9),
        ("RTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGFOO", "-1"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(UsageError):
        parse_signal(text)


def test_generated_names_are_allowed_names() -> None:
    for _ in range(100):
        assert names.check(names.generate())


@pytest.mark.parametrize("name", ["a", "-ab", "a b", "", "ä1"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        names.check(name)


def test_hosts_file() -> None:
    text = network.hosts_text("127.0.0.1 localhost box # me", "web", [("db", "10.0.0.1")])
    assert text == "127.0.0.1 localhost box # me\n127.0.0.1\tweb\n10.0.0.1\tdb\n"
    assert "127.0.0.1\tlocalhost" in network.hosts_text("", "web", [])


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=::1", ("db", "::1")),
        ("db:[::1]", ("db", "::1")),
        ("host:host-gateway", ("host", "127.0.0.1")),
    ],
)
def test_extra_hosts(text: str, pair: tuple[str, str]) -> None:
    assert network.parse_extra_host(text) == pair


@pytest.mark.parametrize("text", ["db", "db:", ":1.2.3.4", "db:300.1.1.1"])
def test_extra_hosts_that_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        network.parse_extra_host(text)


def test_unknown_network() -> None:
    with pytest.raises(UsageError, match="bridge"):
        network.effective_network("bridge")
