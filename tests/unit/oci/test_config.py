from __future__ import annotations

import json

from fastlayer.oci.config import Healthcheck, ImageConfig, RuntimeConfig, empty_config
from fastlayer.oci.digest import chain_id, sha256_digest
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.mutate import (
    add_labels,
    add_ports,
    append_history,
    append_layer,
    set_environment,
    with_runtime,
)
from fastlayer.oci.platform import Platform, host_platform, parse_platform
from fastlayer.oci.timestamp import creation_time, format_timestamp
from hypothesis import given
from hypothesis import strategies as st

DIFF = "sha256:" + "1" * 64
LINUX = Platform("linux", "amd64")


def test_keys_are_in_buildkits_order() -> None:
    config = append_layer(empty_config(LINUX), DIFF, HistoryEntry(created="2026-01-01T00:00:00Z"))
    config = with_runtime(config, RuntimeConfig(cmd=("sh",), env=("A=1",), user="app"))
    assert config.to_json() == (
        b'{"architecture":"amd64","config":{"User":"app","Env":["A=1"],"Cmd":["sh"]},'
        b'"created":"2026-01-01T00:00:00Z","history":[{"created":"2026-01-01T00:00:00Z"}],'
        b'"os":"linux","rootfs":{"type":"layers","diff_ids":["' + DIFF.encode() + b'"]}}'
    )


def test_a_read_config_keeps_bytes_until_it_is_changed() -> None:
    data = (
        b'{ "os":"linux", "architecture":"amd64", "docker_version":"1.2", "container_config":{},'
        b' "config":{"Hostname":"x","Cmd":null},"rootfs":{"type":"layers","diff_ids":[]} }'
    )
    config = ImageConfig.from_json(data)
    assert config.to_json() == data
    assert config.digest == sha256_digest(data)
    changed = append_history(config, HistoryEntry(created_by="USER app"))
    value = json.loads(changed.to_json())
    assert value["docker_version"] == "1.2"
    assert value["config"] == {"Hostname": "x"}
    assert value["history"] == [{"created_by": "USER app", "empty_layer": True}]
    assert config.history == ()


def test_docker_leaves_diff_ids_out_where_there_is_no_layer() -> None:
    data = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}'
    assert ImageConfig.from_json(data).diff_ids == ()


def test_sections_change() -> None:
    section = set_environment(RuntimeConfig(env=("A=1", "B=2")), "A", "3")
    assert section.env == ("A=3", "B=2")
    assert set_environment(section, "C", "").env == ("A=3", "B=2", "C=")
    assert add_ports(section, ["80/tcp", "443/tcp"]).exposed_ports == ("443/tcp", "80/tcp")
    labels = add_labels(add_labels(section, [("a", "1")]), [("a", "2"), ("b", "3")]).labels
    assert labels == {"a": "2", "b": "3"}


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
SECTIONS = st.builds(
    RuntimeConfig,
    user=TEXT,
    env=st.lists(TEXT.map("N={}".format), max_size=3).map(tuple),
    cmd=st.none() | WORDS,
    entrypoint=st.none() | WORDS,
    volumes=st.sets(TEXT, max_size=3).map(lambda names: tuple(sorted(names))),
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    on_build=WORDS,
    shell=st.none() | WORDS,
    args_escaped=st.booleans(),
    healthcheck=st.none() | st.builds(Healthcheck, test=WORDS, interval=st.integers(0, 9)),
)


@given(SECTIONS)
def test_what_is_written_is_read_back(section: RuntimeConfig) -> None:
    config = with_runtime(empty_config(LINUX), section)
    again = ImageConfig.from_json(config.to_json())
    assert again == config
    assert ImageConfig.from_json(config.to_json()).digest == config.digest


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    config = with_runtime(empty_config(LINUX), RuntimeConfig(user="\ud800"))
    assert b'"User":"\xef\xbf\xbd"' in config.to_json()


def test_chain_ids() -> None:
    assert chain_id([]) == ""
    assert chain_id([DIFF]) == DIFF
    assert chain_id([DIFF, DIFF]) == sha256_digest(f"{DIFF} {DIFF}".encode())


def test_platforms() -> None:
    assert str(parse_platform("linux/arm64/v8")) == "linux/arm64"
    assert str(parse_platform("linux/arm")) == "linux/arm/v7"
    assert str(parse_platform("linux/x86_64")) == "linux/amd64"
    assert parse_platform("arm64").os == host_platform().os
    assert parse_platform("windows").architecture == host_platform().architecture
    assert Platform("linux", "arm64", "v8").satisfies(Platform("linux", "arm64"))
    assert not Platform("linux", "arm", "v6").satisfies(Platform("linux", "arm", "v7"))


def test_times() -> None:
    assert format_timestamp(0) == "1970-01-01T00:00:00Z"
    assert format_timestamp(1_500_000_000_120_000_000) == "2017-07-14T02:40:00.12Z"
    assert creation_time({"SOURCE_DATE_EPOCH": "1"}) == "1970-01-01T00:00:01Z"
