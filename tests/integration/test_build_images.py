"""What a build makes of the store: images, names, outputs; and the command around it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastlayer.errors import BuildError, ReferenceFormatError, StoreError
from fastlayer.image import ImageCatalog

from tests.support.ordinary_user import as_ordinary_user, user_folder
from tests.support.requirements import need_core

if TYPE_CHECKING:
    from tests.integration.building import Workshop

SIMPLE = 'FROM busybox\nCOPY a /a\nLABEL one=1\nEXPOSE 80\nCMD ["cat", "/a"]\n'


def test_the_config_reads_as_docker_writes_it(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    result = workshop.build(SIMPLE, tags=["site", "user/site:2"], labels={"two": "2"})
    config = workshop.config(result)
    assert config["config"] == {
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin:/usr/bin"],
        "Cmd": ["cat", "/a"],
        "Labels": {"one": "1", "two": "2"},
        "ArgsEscaped": True,
    }
    assert config["rootfs"]["diff_ids"] == list(result.chain)
    entries = [(entry["created_by"], entry.get("empty_layer")) for entry in config["history"]]
    assert entries == [
        ("busybox", None),
        ("COPY a /a # buildkit", None),
        ("LABEL one=1", True),
        ("EXPOSE [80/tcp]", True),
        ('CMD ["cat" "/a"]', True),
    ]
    times = {entry["created"] for entry in config["history"][1:]}
    assert times == {config["created"]}
    assert all(entry["comment"] == "buildkit.dockerfile.v0" for entry in config["history"][1:])
    image = ImageCatalog(workshop.store).resolve("site")
    assert image.id == result.image_id
    assert image.tags == ("site:latest", "user/site:2")


def test_from_an_image_by_name_id_and_digest(workshop: Workshop) -> None:
    workshop.write({"a": "a"})
    base = workshop.build("FROM busybox\nCOPY a /a\n", tags="base:1")
    assert base.image_id is not None
    for name in ("base:1", "docker.io/library/base:1", base.image_id, f"base@{base.image_id}"):
        result = workshop.build(f"FROM {name}\nENV X=1\n")
        assert result.chain == base.chain


def test_a_missing_base(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": "FROM debian:bookworm\n"})
    done = workshop.command().run("build", workshop.context, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().endswith(
        "error: Dockerfile:1: image docker.io/library/debian:bookworm is not in the store\n"
        "  1:1 | FROM debian:bookworm\n      | ^^^^^^^^^^^^^^^^^^^^\n"
        "hint: skopeo copy docker://docker.io/library/debian:bookworm "
        "oci-archive:x.tar:docker.io/library/debian:bookworm"
        " && fastlayer load -i x.tar\n"
    )


def test_a_bad_name_is_found_before_anything_runs(workshop: Workshop) -> None:
    before = workshop.store.layers()
    with pytest.raises(ReferenceFormatError, match="must be lowercase"):
        workshop.build("FROM busybox\nCOPY missing /\n", tags="Site")
    assert workshop.store.layers() == before


def test_outputs(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"a": "a"})
    text = "FROM scratch\nCOPY a /dir/a\n"
    local, flat, layout, docker = (tmp_path / name for name in ("l", "f.tar", "o.tar", "d.tar"))
    result = workshop.build(text, outputs=[str(local), f"type=tar,dest={flat}"])
    assert result.image_id is None
    assert (local / "dir" / "a").read_bytes() == b"a"
    with tarfile.open(flat) as archive:
        assert [member.name for member in archive] == ["dir", "dir/a"]
    named = workshop.build(
        text, tags="x:1", outputs=[f"type=oci,dest={layout}", f"type=docker,dest={docker}"]
    )
    with tarfile.open(layout) as archive:
        assert "oci-layout" in archive.getnames()
    with tarfile.open(docker) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        manifest = json.load(member)
    assert manifest[0]["RepoTags"] == ["x:1"]
    assert named.image_id is not None


def test_the_command(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"a": "a", "Dockerfile": "FROM scratch\nARG V\nLABEL v=$V\nCOPY a /a\n"})
    command, iid = workshop.command(), tmp_path / "iid"
    done = command.run(
        "build", "-t", "x", "--build-arg", "V=1", "--iidfile", iid, "--label", "l=m",
        "--progress=plain", "--load", "--rm", "--force-rm", "--provenance=false", "--sbom=false",
        workshop.context,
    )  # fmt: skip
    text = done.stderr.decode()
    assert "#2 [1/1] COPY a /a\n#2 DONE" in text
    assert f"writing image {iid.read_text()} done" in text
    assert "naming to docker.io/library/x:latest done" in text
    assert text.splitlines()[-1].startswith("1 step: 0 cached, 1 ran; ")
    quiet = command.text("build", "-q", "-t", "x", "--build-arg", "V=1", "--label", "l=m",
                         workshop.context)  # fmt: skip
    assert quiet == iid.read_text()
    events = command.run("build", "--progress=rawjson", workshop.context).stderr.decode()
    lines = [json.loads(line) for line in events.splitlines()]
    assert any(vertex.get("cached") for line in lines for vertex in line.get("vertexes", []))
    assert lines[-1]["fastlayer.result"]["cached"] == 1


def test_dockerfiles_from_elsewhere(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write({"a": "a"})
    command = workshop.command()
    other = tmp_path / "Other"
    other.write_text("FROM scratch\nCOPY a /one\n")
    by_path = command.text("build", "-q", "-f", other, workshop.context)
    given = command.run(
        "build", "-q", "-f", "-", workshop.context, stdin=b"FROM scratch\nCOPY a /one\n"
    )
    assert given.stdout.decode().strip() == by_path
    alone = command.run("build", "-q", "-", stdin=b"FROM busybox\nCOPY <<E /x\nhi\nE\n")
    assert command.text("cat", f"{alone.stdout.decode().strip()}:/x") == "hi"
    stream = command.run("build", "-o", "-", "-f", other, workshop.context).stdout
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == ["one"]


def test_the_environment_gives_values(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.write({"Dockerfile": "FROM busybox\nARG V=default\nLABEL v=$V\n"})
    monkeypatch.setenv("V", "from-environment")
    command = workshop.command()
    for arguments, value in (((), "default"), (("--build-arg", "V"), "from-environment")):
        image = command.text("build", "-q", *arguments, workshop.context)
        config = json.loads(workshop.store.get_document(image))
        assert config["config"]["Labels"] == {"v": value}


def test_an_unused_build_argument_is_warned_of(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": "FROM busybox\n"})
    done = workshop.command().run("build", "--build-arg", "TYPO=1", workshop.context)
    assert "build arguments that no ARG of the target declares: TYPO" in done.stderr.decode()


def test_the_cache_is_listed_and_emptied(workshop: Workshop) -> None:
    workshop.write({"a": "a", "Dockerfile": "FROM busybox\nCOPY a /a\n"})
    command = workshop.command()
    image = command.text("build", "-q", workshop.context)
    assert "COPY a /a" in command.text("builder", "du")
    workshop.write({"a": "b"})
    command.run("build", "-q", "-t", "x", workshop.context)
    command.run("rmi", image)
    assert "\nTotal reclaimed space: " in command.text("builder", "prune", "-f")
    assert "COPY a /a" not in command.text("builder", "du")
    assert command.text("cat", "x:/a") == "b"
    command.run("fsck")


def test_a_read_only_store() -> None:
    need_core()
    from tests.integration.building import make_workshop

    def attempt() -> None:
        workshop = make_workshop(folder)
        workshop.write({"a": "a"})
        os.chmod(workshop.store.root, 0o500)
        with pytest.raises((StoreError, BuildError)):
            workshop.build(SIMPLE)

    with user_folder() as folder:
        as_ordinary_user(attempt)


def test_the_command_underlines_what_is_wrong(workshop: Workshop) -> None:
    command = workshop.command()

    def told(dockerfile: str) -> str:
        workshop.write({"Dockerfile": dockerfile})
        done = command.run("build", "--progress=none", workshop.context, check=False)
        assert done.returncode == 1
        return done.stderr.decode()

    assert told("FROM busybox\nCOPY --form=x a b\n") == (
        "error: Dockerfile:2: unknown flag: --form\n"
        "  2:6 | COPY --form=x a b\n"
        "      |      ^^^^^^\n"
        "hint: did you mean --from?\n"
    )
    assert (
        "nope: not found in the build context\n  3:1 | COPY nope /\n      | ^^^^^^^^^^^\n"
    ) in told("FROM busybox\n\nCOPY nope /\n")
    assert "|" not in told("FROM busybox\nRUN exit 1\n")


def test_outputs_name_the_image_or_keep_none(workshop: Workshop) -> None:
    named = workshop.build(
        "FROM busybox\nENV N=1\n", tags="one", outputs=('type=image,"name=two:2,one:latest"',)
    )
    assert named.tags == ("docker.io/library/one:latest", "docker.io/library/two:2")
    assert ImageCatalog(workshop.store).resolve("two:2").id == named.image_id
    cached = workshop.build("FROM busybox\nENV N=2\nRUN true\n", outputs=("type=cacheonly",))
    assert cached.image_id is None
    assert workshop.build("FROM busybox\nENV N=2\nRUN true\n").cached == 2


def test_a_reader_who_has_had_enough_is_no_error(workshop: Workshop) -> None:
    workshop.write({"Dockerfile": "FROM scratch\nCOPY large /\n", "large": bytes(1 << 20)})
    command = workshop.command()
    argv = command.argv("build", "-q", "-o", "-", workshop.context)
    with subprocess.Popen(
        argv, env=command.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 141
