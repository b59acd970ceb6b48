"""The commands on images, over a store in memory: what they print, to the byte."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fastlayer.errors import ConflictError, FastlayerError, ImageNotFoundError, UsageError
from fastlayer.oci.config import ImageConfig, RuntimeConfig, empty_config
from fastlayer.oci.history import HistoryEntry
from fastlayer.oci.mutate import append_history, append_layer, with_runtime
from fastlayer.oci.platform import Platform

from tests.support.memory_store import MemoryStore, small_tar
from tests.support.requirements import need_core

need_core()

from fastlayer.cli import location, main, moment  # noqa: E402
from fastlayer.container.registry import ContainerRegistry  # noqa: E402
from fastlayer.image import Image, ImageCatalog  # noqa: E402
from fastlayer.value import replace  # noqa: E402

NOW = moment.seconds_of("2026-01-02T00:00:00Z")
LONG = "RUN /bin/sh -c echo a long command line that is cut # buildkit"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore(tmp_path)
    monkeypatch.setattr(location, "Store", lambda root: store)
    monkeypatch.setattr(location, "default_root", lambda: tmp_path)
    monkeypatch.setattr("time.time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return store


@pytest.fixture
def image(store: MemoryStore) -> Image:
    catalog = ImageCatalog(store.as_store())
    config: ImageConfig = empty_config(Platform("linux", "amd64"))
    steps = [
        (HistoryEntry(created="0001-01-01T00:00:00Z", comment="Imported from -"), b"1" * 4050),
        (HistoryEntry(created="2026-01-01T00:00:00Z", created_by=LONG), b"2" * 126_300_000),
    ]
    for entry, content in steps:
        layer = store._add(small_tar(file=content))
        config = append_layer(config, layer.diff_id, entry)
    entry = HistoryEntry(created="2026-01-01T23:59:00Z", created_by='CMD ["sh"\t"-c"]')
    config = append_history(config, entry)
    config = with_runtime(config, RuntimeConfig(cmd=("sh", "-c"), labels={"k": "v"}))
    made = catalog.create(config)
    catalog.tag(made.id, "site:1")
    return made


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main.group, list(arguments))


def test_history_as_docker_prints_it(image: Image) -> None:
    short = image.id[7:19]
    assert run("history", "site:1") == (
        "IMAGE          CREATED              CREATED BY"
        "                                      SIZE      COMMENT\n"
        f'{short}   About a minute ago   CMD ["sh" "-c"]'
        "                                 0B        \n"
        "<missing>      24 hours ago         RUN /bin/sh -c echo a long command line that…"
        "   126MB     \n"
        "<missing>      N/A                                                               "
        "   4.05kB    Imported from -\n"
    )


def test_history_in_other_forms(image: Image) -> None:
    assert run("history", "-q", "site:1").split() == [image.id[7:19], "<missing>", "<missing>"]
    assert run("history", "-q", "--no-trunc", "site:1").split()[0] == image.id
    lines = run("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}", "site:1")
    assert lines == f'CMD ["sh" "-c"]|0B\n{LONG}|126MB\n|4.05kB\n'
    row = json.loads(run("history", "--human=false", "--format", "json", "site:1").splitlines()[1])
    assert row == {
        "Comment": "",
        "CreatedAt": "2026-01-01T00:00:00Z",
        "CreatedBy": LONG[:44] + "…",
        "CreatedSince": "2026-01-01T00:00:00Z",
        "ID": "<missing>",
        "Size": "126300000",
    }
    assert run("history", "--format", "table {{.Size}}\\t{{.ID}}", "site:1").splitlines()[0] == (
        "SIZE      IMAGE"
    )
    with pytest.raises(UsageError, match="no field Nope"):
        run("history", "--format", "{{.Nope}}", "site:1")


def test_images_as_docker_prints_them(image: Image, store: MemoryStore) -> None:
    catalog = ImageCatalog(store.as_store())
    other = catalog.create(replace(image.config, created="2025-12-01T00:00:00Z", raw=None))
    assert run("images") == (
        "REPOSITORY   TAG       IMAGE ID       CREATED              SIZE\n"
        f"site         1         {image.id[7:19]}   About a minute ago   126MB\n"
        f"<none>       <none>    {other.id[7:19]}   4 weeks ago          126MB\n"
    )
    assert run("images", "-q").split() == [image.id[7:19], other.id[7:19]]
    assert run("images", "--digests", "-q", "--no-trunc", "site").split() == [image.id]
    for arguments, expected in {
        ("-f", "dangling=true"): [other],
        ("-f", "dangling=false"): [image],
        ("-f", "label=k=v"): [image, other],
        ("-f", "label=k=w"): [],
        ("-f", "reference=s*:1"): [image],
        ("-f", "reference=t*"): [],
        ("-f", "before=site:1"): [other],
        ("-f", f"since={other.id}"): [image],
        ("-f", "until=24h"): [other],
        ("site:1",): [image],
        ("site",): [image],
        ("nothing",): [],
    }.items():
        assert run("images", "-q", "--no-trunc", *arguments).split() == [i.id for i in expected]
    row = json.loads(run("images", "--format", "json", "site"))
    assert row["UniqueSize"] == "0B"
    assert row["SharedSize"] == row["Size"] == "126MB"
    assert row["CreatedAt"] == "2026-01-01 23:59:00 +0000 UTC"
    with pytest.raises(UsageError, match="unknown filter"):
        run("images", "-f", "size=3")


def test_inspect_as_docker_prints_it(image: Image) -> None:
    text = run("inspect", "site:1")
    assert text.startswith('[\n    {\n        "Id": "sha256:')
    (document,) = json.loads(text)
    assert list(document)[:6] == ["Id", "RepoTags", "RepoDigests", "Comment", "Created", "Author"]
    assert document["RootFS"] == {"Type": "layers", "Layers": list(image.chain)}
    assert document["Config"]["Cmd"] == ["sh", "-c"]
    assert document["Config"]["Entrypoint"] is None
    assert document["Size"] == 126_304_050
    assert run("inspect", "-f", "{{.Id}}", "site:1") == image.id + "\n"
    assert run("inspect", "-f", "{{json .Config.Cmd}} {{.Os}}", "site:1") == '["sh","-c"] linux\n'
    assert run("inspect", "-f", "[{{.Config.StopSignal}}]", "site:1") == "[]\n"
    assert run("inspect", "--type", "image", "-f", "{{.Os}}", "site:1") == "linux\n"
    assert isinstance(invoke("inspect", "--type", "container", "site:1").exception, FastlayerError)
    result = invoke("inspect", "nothing")
    assert result.stdout == "[]\n"
    assert isinstance(result.exception, FastlayerError)


def test_tag_and_rmi(image: Image) -> None:
    assert run("tag", "site:1", "user/site") == ""
    assert run("rmi", "user/site") == "Untagged: user/site:latest\n"
    assert run("rmi", "site:1") == f"Untagged: site:1\nDeleted: {image.id}\n"
    assert isinstance(invoke("rmi", "site:1").exception, ImageNotFoundError)
    assert run("rmi", "-f", "site:1") == ""


def test_rmi_goes_on_after_an_error(image: Image) -> None:
    run("tag", "site:1", "other:1")
    result = invoke("rmi", "nothing", image.id, "other:1")
    assert isinstance(result.exception, ImageNotFoundError)
    assert "multiple repositories" in result.stderr
    assert "Untagged: other:1\n" in result.stdout
    assert isinstance(invoke("rmi", "nothing").exception, ImageNotFoundError)


def test_save_and_load_round_trip(image: Image, store: MemoryStore, tmp_path: Path) -> None:
    archive = tmp_path / "site.tar"
    assert run("save", "-o", str(archive), "site:1") == ""
    run("rmi", "site:1")
    assert run("load", "-i", str(archive)) == "Loaded image: site:1\n"
    assert run("inspect", "-f", "{{.Id}}", "site:1").strip() == image.id
    assert run("load", "-q", "-i", str(archive)) == ""
    run("save", "-o", str(archive), image.id)
    result = invoke("load", "-i", str(archive))
    assert result.stdout == f"Loaded image ID: {image.id}\n"


def test_import(store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    tar = tmp_path / "root.tar"
    tar.write_bytes(small_tar(file=b"x"))
    first = run("import", str(tar), "base:1", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-m", "hello")
    image = ImageCatalog(store.as_store()).resolve("base:1")
    assert first == image.id + "\n"
    assert image.config.config.cmd == ("sh",)
    (entry,) = image.config.history
    assert (entry.comment, entry.created) == ("hello", "2023-11-14T22:13:20Z")
    again = run("import", str(tar), "base:2", "-c", 'CMD ["sh"]', "-c", "ENV A=1", "-m", "hello")
    assert again == first
    assert isinstance(invoke("import", "http://x/y.tar").exception, UsageError)
    assert isinstance(invoke("import", str(tar), "x", "-c", "RUN a").exception, UsageError)
    result = invoke("import", str(tmp_path / "nothing"))
    assert "No such file" in str(result.exception)


def test_switches_take_values_as_in_go(image: Image) -> None:
    assert run("history", "--no-trunc=true", "-q", "site:1").split()[0] == image.id
    assert run("history", "--no-trunc=false", "-q", "site:1").split()[0] == image.id[7:19]
    assert invoke("history", "--quiet=maybe", "site:1").exit_code != 0


def test_conflicts_name_the_container(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    class Used:
        identifier = "c" * 64
        config = type("Config", (), {"image_id": image.id})()

        def is_running(self) -> bool:
            return False

    monkeypatch.setattr(ContainerRegistry, "all", lambda self: [Used()])
    assert isinstance(invoke("rmi", "site:1").exception, ConflictError)
    assert "Deleted" in run("rmi", "-f", "site:1")
