"""``--change`` texts applied to a config."""

from __future__ import annotations

import pytest
from fastlayer.errors import DockerfileError, UsageError
from fastlayer.image.change import apply_changes
from fastlayer.oci.config import RuntimeConfig, empty_config
from fastlayer.oci.mutate import with_runtime
from fastlayer.oci.platform import Platform

EMPTY = empty_config(Platform("linux", "amd64"))


def changed(*changes: str, base: RuntimeConfig | None = None) -> RuntimeConfig:
    return apply_changes(with_runtime(EMPTY, base or RuntimeConfig()), changes).config


def test_all_eleven() -> None:
    section = changed(
        'CMD ["nginx", "-g", "daemon off;"]',
        "env A=1 B=$A",
        "ENV C=${A}x",
        "EXPOSE 80 443/tcp",
        "LABEL k=v",
        "USER app",
        "VOLUME /data",
        "WORKDIR /srv",
        "WORKDIR www",
        "STOPSIGNAL SIGQUIT",
        "HEALTHCHECK --interval=5s CMD true",
        "ONBUILD RUN make",
    )
    assert section.cmd == ("nginx", "-g", "daemon off;")
    assert section.env == ("A=1", "B=", "C=1x")
    assert section.exposed_ports == ("443/tcp", "80/tcp")
    assert section.labels == {"k": "v"}
    assert section.user == "app"
    assert section.volumes == ("/data",)
    assert section.working_dir == "/srv/www"
    assert section.stop_signal == "SIGQUIT"
    assert section.healthcheck is not None
    assert section.healthcheck.interval == 5_000_000_000
    assert section.healthcheck.test == ("CMD-SHELL", "true")
    assert section.on_build == ("RUN make",)


def test_shell_form_uses_the_images_shell() -> None:
    assert changed("CMD echo hi").cmd == ("/bin/sh", "-c", "echo hi")
    assert changed("CMD x", base=RuntimeConfig(shell=("bash", "-c"))).cmd == ("bash", "-c", "x")


def test_entrypoint_clears_an_inherited_command_only() -> None:
    base = RuntimeConfig(cmd=("old",))
    assert changed('ENTRYPOINT ["e"]', base=base).cmd is None
    assert changed('CMD ["new"]', 'ENTRYPOINT ["e"]', base=base).cmd == ("new",)
    assert changed('ENTRYPOINT ["e"]', 'CMD ["new"]', base=base).cmd == ("new",)


@pytest.mark.parametrize("text", ["RUN ls", "COPY a b", "FROM x", 'SHELL ["a"]', "ARG a", "", "x"])
def test_other_instructions_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid change command"):
        changed(text)


def test_a_mistake_names_its_place() -> None:
    with pytest.raises(DockerfileError, match="--change"):
        changed("EXPOSE x")
