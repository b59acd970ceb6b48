"""Archives that other tools' own tests use: what they hold, and that they survive a round trip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.requirements import corpus, need_core

ARCHIVES = {
    "container-libs/almostempty.tar": ["emptyimage:latest"],
    "container-libs/buildkit-docker.tar": ["github.com/buildkit/archive:docker"],
    "container-libs/buildkit-oci.tar": ["github.com/buildkit/archive:oci"],
    "container-libs/docker-name-only.tar.xz": ["pretty-empty:latest"],
    "container-libs/docker-registry-name.tar.xz": ["example.com/empty:latest"],
    "container-libs/docker-two-images.tar.xz": [
        "example.com/empty:latest",
        "example.com/empty/but:different",
    ],
    "container-libs/docker-two-names.tar.xz": ["pretty-empty:latest", "example.com/empty:latest"],
    "container-libs/oci-name-only.tar.gz": ["pretty-empty:latest"],
    "container-libs/oci-registry-name.tar.gz": ["example.com/empty:latest"],
    "go-containerregistry/overwritten_file.tar": ["bazel/pkg/v1/mutate:overwritten_file"],
    "go-containerregistry/source_image.tar": ["bazel/pkg/v1/mutate:source_image"],
    "go-containerregistry/source_image_with_empty_layer_history.tar": [
        "bazel/pkg/v1/mutate:source_image"
    ],
    "go-containerregistry/test_bundle.tar": ["test_image_2:latest", "test_image_1:latest"],
    "go-containerregistry/test_image_2.tar": ["bazel/v1/tarball:test_image_2"],
    "go-containerregistry/test_link.tar": [
        "bazel/v1/tarball:test_image_1",
        "bazel/v1/tarball:test_image_3",
    ],
    "go-containerregistry/whiteout_dir.tar": ["localhost:5000/whiteout:latest"],
}

REFUSED = {
    "container-libs/oci-non-docker-name.tar.gz": b"'UPPERCASE-IS-INVALID'",
    "go-containerregistry/content.tar": b"neither a docker archive",
    "go-containerregistry/content.tar.zst": b"neither a docker archive",
    "go-containerregistry/null_manifest.tar": b"manifest.json names no image",
    "nydus/empty.tar": b"not a tar archive",
}


@pytest.fixture
def fastlayer(tmp_path: Path) -> Command:
    need_core()
    return Command(tmp_path / "store")


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_is_in_an_archive(name: str, fastlayer: Command, tmp_path: Path) -> None:
    path = corpus("tars") / name
    lines = fastlayer.text("load", "-i", path).splitlines()
    assert lines == [f"Loaded image: {image}" for image in ARCHIVES[name]]
    saved = tmp_path / "saved.tar"
    done = fastlayer.run("save", "-o", saved, *ARCHIVES[name])
    assert done.stderr == b""
    again = Command(tmp_path / "again")
    again.run("load", "-q", "-i", saved)
    for image in ARCHIVES[name]:
        for field in ("{{.Id}}", "{{json .RootFS}}", "{{json .Config}}"):
            there = again.text("inspect", "-f", field, image)
            assert there == fastlayer.text("inspect", "-f", field, image)
    assert again.text("fsck") == "no problems found"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, fastlayer: Command) -> None:
    done = fastlayer.run("load", "-i", corpus("tars") / name, check=False)
    assert done.returncode == 1
    assert REFUSED[name] in done.stderr
    assert fastlayer.text("images", "-q") == ""


def test_a_file_that_a_later_layer_replaces_does_not_show(fastlayer: Command) -> None:
    path = corpus("tars/go-containerregistry/overwritten_file.tar")
    fastlayer.run("load", "-q", "-i", path)
    name = "bazel/pkg/v1/mutate:overwritten_file"
    assert "foo.txt -> bar.txt" in fastlayer.text("ls", "-l", name)


def test_a_directory_that_was_deleted_and_made_again(fastlayer: Command) -> None:
    fastlayer.run("load", "-q", "-i", corpus("tars/go-containerregistry/whiteout_dir.tar"))
    assert fastlayer.text("ls", "localhost:5000/whiteout:/a") == "baz"
    assert fastlayer.text("ls", "localhost:5000/whiteout:/b") == "bar"
