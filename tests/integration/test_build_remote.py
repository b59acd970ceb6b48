"""ADD from the network, and contexts that are no directories."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastlayer.builder.plan import DEFAULT_PATH
from fastlayer.errors import (
    BuildError,
    DockerfileError,
    FastlayerError,
)

from tests.support.repository import TIME, Repository, make_repository
from tests.support.website import Website, served_directory, website

if TYPE_CHECKING:
    from tests.integration.building import Workshop

MODIFIED = 1_500_000_000
FILES = {"Dockerfile": "FROM busybox\nCOPY . /x/\n", ".dockerignore": "no\n", "a": "a", "no": ""}


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as made:
        yield made


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "work")


@pytest.fixture
def hub(repository: Repository, tmp_path: Path) -> Iterator[str]:
    """The address of the published repository; publish again after a commit."""
    repository.commit({"README": "first", "sub/inner": "inner", "Dockerfile": "FROM busybox\n"})
    repository.publish(tmp_path / "hub" / "x.git")
    with served_directory(tmp_path / "hub") as address:
        yield f"{address}/x.git"


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mtime = MODIFIED
            opened.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def entry(workshop: Workshop, chain: tuple[str, ...], path: str) -> tuple[int, int]:
    """Mode and time of a path."""
    found = workshop.store.stat(chain, path.encode())
    assert found is not None
    return found.mode, found.mtime[0]


class TestUrls:
    def test_a_file_has_the_servers_time_and_mode_0600(
        self, workshop: Workshop, site: Website
    ) -> None:
        site.pages = {"/a/file%20x.txt?q=1": b"content", "/": b"root", "/undated": b"u"}
        site.undated = {"/undated"}
        result = workshop.build(
            f"FROM scratch\nADD {site.address}/a/file%20x.txt?q=1 /d/\n"
            f"ADD {site.address}/undated /name\nADD {site.address}/ /d/\n"
            f"ADD --chmod=755 --chown=5:6 {site.address}/undated /tool\n"
        )
        assert workshop.read(result, "/d/file x.txt") == b"content"
        assert entry(workshop, result.chain, "d/file x.txt") == (0o600, MODIFIED)
        assert entry(workshop, result.chain, "name") == (0o600, 0)
        assert workshop.read(result, "/d/__unnamed__") == b"root"
        assert workshop.stat(result, "/tool") == ("file", 0o755, 5, 6)

    def test_it_is_asked_for_again_and_sent_once(self, workshop: Workshop, site: Website) -> None:
        site.pages = {"/x": b"1"}
        text = f"FROM busybox\nADD {site.address}/x /x\nRUN cat /x\n"
        workshop.build(text)
        assert workshop.build(text).cached == 3
        assert (site.asked, site.sent) == (["/x", "/x"], ["/x"])
        site.pages = {"/x": b"2"}
        changed = workshop.build(text)
        assert (changed.cached, workshop.read(changed, "/x")) == (1, b"2")
        # Nothing changed, but the step must run: now the content is wanted.
        again = workshop.build(text, no_cache=True)
        assert again.image_id is not None
        assert site.sent == ["/x"] * 3
        assert not list((workshop.store.root / "staging").glob("remote-*"))

    def test_archives_are_unpacked_where_asked_for(self, workshop: Workshop, site: Website) -> None:
        packed = archive({"inner": "content"})
        site.pages = {"/a.tar": packed}
        workshop.write({"local.tar": packed})
        result = workshop.build(
            f"FROM scratch\nADD {site.address}/a.tar /kept/\n"
            f"ADD --unpack {site.address}/a.tar /unpacked/\n"
            f"ADD local.tar {site.address}/a.tar /both/\n"
            "ADD --unpack=false local.tar /plain/\n"
        )
        assert workshop.read(result, "/kept/a.tar") == packed
        assert workshop.read(result, "/unpacked/inner") == b"content"
        assert workshop.read(result, "/both/inner") == b"content"
        assert workshop.read(result, "/both/a.tar") == packed
        assert workshop.read(result, "/plain/local.tar") == packed

    def test_checksums(self, workshop: Workshop, site: Website) -> None:
        site.pages = {"/x": b"content"}
        right = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
        text = f"FROM scratch\nADD --checksum={right} {site.address}/x /x\n"
        assert workshop.read(workshop.build(text), "/x") == b"content"
        assert workshop.build(text).cached == 1
        assert site.asked == ["/x"]  # what is wanted is known: nobody is asked
        wrong = "sha256:" + "0" * 64
        with pytest.raises(BuildError, match=f"its digest is {right}, and {wrong} was wanted"):
            workshop.build(f"FROM scratch\nADD --checksum={wrong} {site.address}/x /x\n")
        with pytest.raises(DockerfileError, match=r"Dockerfile:2: ADD .* checksum md5:1 is not"):
            workshop.build(f"FROM scratch\nADD --checksum=md5:1 {site.address}/x /x\n")

    def test_redirects_are_followed_and_the_name_is_the_first(
        self, workshop: Workshop, site: Website
    ) -> None:
        site.pages = {"/real": b"content"}
        site.redirects = {
            "/one": "/two",
            "/two": "/real",
            "/loop": "/loop",
            "/f": "file:///etc/group",
        }
        result = workshop.build(f"FROM scratch\nADD {site.address}/one /d/\n")
        assert workshop.read(result, "/d/one") == b"content"
        for path in ("loop", "f"):
            with pytest.raises(BuildError, match=f"{site.address}/{path}: "):
                workshop.build(f"FROM scratch\nADD {site.address}/{path} /d/\n")

    def test_what_cannot_be_fetched_is_named(self, workshop: Workshop, site: Website) -> None:
        site.pages = {"/cut": b"content"}
        site.cut = {"/cut"}
        for path, message in (
            ("missing", "the server answers 404 Not Found"),
            ("cut", "the connection ended in the middle of the file"),
        ):
            with pytest.raises(BuildError, match=f"{site.address}/{path}: {message}"):
                workshop.build(f"FROM scratch\nADD {site.address}/{path} /d/\n")
        with pytest.raises(
            BuildError, match=r"Dockerfile:2: http://127.0.0.1:1/x: Connection refused"
        ):
            workshop.build("FROM scratch\nADD http://127.0.0.1:1/x /d/\n")
        assert not list((workshop.store.root / "staging").glob("remote-*"))

    def test_the_place_of_a_failed_download_is_told(
        self, workshop: Workshop, site: Website
    ) -> None:
        workshop.write({"Dockerfile": f"FROM scratch\nADD {site.address}/missing /d/\n"})
        done = workshop.command().run("build", workshop.context, check=False)
        assert done.returncode == 1
        assert f"Dockerfile:2: {site.address}/missing: the server answers 404" in (
            done.stderr.decode()
        )


class TestGit:
    def test_the_files_of_a_commit(
        self, workshop: Workshop, hub: str, repository: Repository, tmp_path: Path
    ) -> None:
        text = f"FROM scratch\nADD {hub} /all/\nADD {hub}#main:sub /sub\n"
        result = workshop.build(text)
        assert workshop.read(result, "/all/README") == b"first"
        assert workshop.read(result, "/sub/inner") == b"inner"
        assert entry(workshop, result.chain, "all/sub/inner") == (0o644, TIME)
        assert not workshop.has(result, "/all/.git")
        assert workshop.build(text).cached == 2
        repository.commit({"README": "second"})
        repository.publish(tmp_path / "hub" / "x.git")
        assert workshop.read(workshop.build(text), "/all/README") == b"second"

    def test_branches_tags_commits_and_checksums(
        self, workshop: Workshop, hub: str, repository: Repository, tmp_path: Path
    ) -> None:
        first = repository.git("rev-parse", "HEAD")
        repository.git("tag", "-a", "-m", "a tag", "v1")
        repository.git("checkout", "--quiet", "-b", "other")
        second = repository.commit({"README": "second"})
        repository.commit({"README": "third"})
        repository.publish(tmp_path / "hub" / "x.git")

        def readme(source: str, flags: str = "") -> bytes:
            result = workshop.build(f"FROM scratch\nADD {flags} {source} /x\n")
            return workshop.read(result, "/x/README")

        assert readme(f"{hub}#v1") == readme(f"{hub}#refs/tags/v1") == readme(hub) == b"first"
        assert readme(f"{hub}#other") == readme(f"{hub}?branch=other") == b"third"
        assert readme(f"{hub}#{second}") == readme(f"{hub}?ref={second}&subdir=/") == b"second"
        assert readme(f"{hub}#v1", f"--checksum={first[:10]}") == b"first"
        with pytest.raises(BuildError, match=f"it is the commit {first}, and 0000 was wanted"):
            readme(f"{hub}#v1", "--checksum=0000")
        with pytest.raises(BuildError, match="there is no branch or tag nothing"):
            readme(f"{hub}#nothing")
        with pytest.raises(BuildError, match="there is no directory nothing"):
            readme(f"{hub}#v1:nothing")
        with pytest.raises(BuildError, match="there is no directory"):
            readme(f"{hub}#v1:../..")

    def test_the_repository_itself_may_stay(self, workshop: Workshop, hub: str) -> None:
        text = f"FROM scratch\nADD --keep-git-dir=true {hub} /x\n"
        result = workshop.build(text)
        assert workshop.has(result, "/x/.git/HEAD")
        assert workshop.build(text).cached == 1

    def test_what_cannot_be_cloned_is_named(self, workshop: Workshop, hub: str) -> None:
        with pytest.raises(BuildError, match=r"git ls-remote: .*not found"):
            workshop.build(f"FROM scratch\nADD {hub.replace('x.git', 'y.git')} /x\n")
        for line, message in (
            (f"ADD --unpack {hub} /x", "--unpack is for files"),
            (f"ADD {hub}?depth=1 /x", "depth is not known"),
            ("ADD --keep-git-dir=true x /x", "needs a git repository"),
        ):
            with pytest.raises(DockerfileError, match=message):
                workshop.build(f"FROM scratch\n{line}\n")


class TestContexts:
    @pytest.mark.parametrize("program", ["cat", "gzip", "xz", "zstd", "bzip2"])
    def test_an_archive_on_standard_input(self, workshop: Workshop, program: str) -> None:
        packed = subprocess.run(
            [program], input=archive(FILES), check=True, capture_output=True
        ).stdout
        done = workshop.command().run("build", "-q", "-", stdin=packed)
        image = done.stdout.decode().strip()
        assert workshop.command().text("cat", f"{image}:/x/a") == "a"
        names = workshop.command().text("ls", f"{image}:/x").split()
        assert "no" not in names
        again = workshop.command().run("build", "-", stdin=packed).stderr.decode()
        assert "3 steps" not in again and "2 cached" in again

    def test_a_file_of_the_archive_is_the_dockerfile(self, workshop: Workshop) -> None:
        packed = archive({**FILES, "other/D": "FROM busybox\nCOPY a /other\n"})
        command = workshop.command()
        image = command.run("build", "-q", "-f", "other/D", "-", stdin=packed).stdout.decode()
        assert command.text("cat", f"{image.strip()}:/other") == "a"
        done = command.run("build", "-f", "/etc/passwd", "-", stdin=packed, check=False)
        assert "Dockerfile" in done.stderr.decode() and done.returncode == 1

    def test_a_link_does_not_lead_out_of_the_archive(self, workshop: Workshop) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as opened:
            link = tarfile.TarInfo("Dockerfile")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
            opened.addfile(link)
        done = workshop.command().run("build", "-", stdin=buffer.getvalue(), check=False)
        assert "error: the Dockerfile Dockerfile is not in the context" in done.stderr.decode()

    def test_a_dockerfile_on_standard_input(self, workshop: Workshop) -> None:
        command = workshop.command()
        image = command.run("build", "-q", "-", stdin=b"FROM busybox\nENV A=1\n").stdout.decode()
        assert command.text("inspect", "-f", "{{.Config.Env}}", image.strip()).endswith("A=1]")
        for stdin, flags, message in (
            (b"FROM busybox\nCOPY a /\n", (), "a"),
            (b"", (), "standard input: there is neither an archive nor a Dockerfile"),
            (b"FROM busybox\n", ("-f", "x"), "there is no x: the context is a Dockerfile"),
            (b"FROM busybox\n", ("-f", "-"), "cannot both be on standard input"),
            (archive(FILES)[:520], (), "standard input: "),
        ):
            done = command.run("build", *flags, "-", stdin=stdin, check=False)
            assert done.returncode in {1, 125}
            assert message in done.stderr.decode()

    def test_an_archive_and_a_dockerfile_at_a_url(self, workshop: Workshop, site: Website) -> None:
        site.pages = {"/c.tar": archive(FILES), "/D": b"FROM busybox\nENV A=1\n"}
        command = workshop.command()
        image = command.text("build", "-q", f"{site.address}/c.tar")
        assert command.text("cat", f"{image}:/x/a") == "a"
        assert command.text("build", "-q", f"{site.address}/D")
        done = command.run("build", f"{site.address}/none", check=False)
        assert f"error: {site.address}/none: the server answers 404" in done.stderr.decode()

    def test_a_git_repository(
        self, workshop: Workshop, hub: str, repository: Repository, tmp_path: Path
    ) -> None:
        repository.commit(
            {"Dockerfile": "FROM busybox\nCOPY . /x/\n", "sub/Dockerfile": "FROM x\n"}
        )
        bare = repository.publish(tmp_path / "hub" / "x.git")
        for url in (hub, f"file://{bare}"):
            result = workshop.command().text("build", "-q", url)
            assert workshop.command().text("cat", f"{result}:/x/README") == "first"
            kept = ("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
            for flags, there in (((), False), (kept, True)):
                result = workshop.command().text("build", "-q", *flags, url)
                listed = workshop.command().text("ls", f"{result}:/x")
                assert (".git" in listed.split()) == there
            epoch = workshop.command().text("build", "-q", "--source-date-epoch=context", url)
            created = workshop.command().text("inspect", "-f", "{{.Created}}", epoch)
            assert datetime.fromisoformat(created).timestamp() == TIME
        done = workshop.command().run("build", f"{hub}#main:sub", check=False)
        assert "image docker.io/library/x:latest is not in the store" in done.stderr.decode()

    def test_further_contexts(
        self, workshop: Workshop, site: Website, hub: str, tmp_path: Path
    ) -> None:
        more = tmp_path / "more"
        more.mkdir()
        for name, content in ((".dockerignore", "no\n"), ("no", ""), ("b", "b")):
            (more / name).write_text(content)
        site.pages = {"/c.tar": archive({"t": "t"})}
        contexts = {"more": str(more), "tar": f"{site.address}/c.tar", "repo": hub}
        text = (
            "FROM scratch AS more\nFROM busybox\nCOPY --from=more . /x/\nCOPY --from=tar t /t\n"
            "COPY --from=repo README /r\nRUN --mount=from=more,target=/m cat /m/b > /run\n"
        )
        result = workshop.build(text, contexts=contexts)
        assert [workshop.read(result, path) for path in ("/x/b", "/t", "/r", "/run")] == [
            b"b",
            b"t",
            b"first",
            b"b",
        ]
        assert not workshop.has(result, "/x/no")
        assert workshop.build(text, contexts=contexts).cached == 5

    def test_a_stage_that_starts_from_a_directory(self, workshop: Workshop, tmp_path: Path) -> None:
        base = tmp_path / "base"
        (base / "etc").mkdir(parents=True)
        (base / "etc" / "motd").write_text("hello")
        contexts = {"base": str(base)}
        text = "FROM Base AS one\nCOPY a /a\nFROM one\n"
        workshop.write({"a": "1"})
        result = workshop.build(text, contexts=contexts)
        assert workshop.read(result, "/etc/motd") == b"hello"
        config = workshop.config(result)
        assert config["config"]["Env"] == [f"PATH={DEFAULT_PATH}"]
        assert [entry["created_by"] for entry in config["history"]] == [
            "FROM Base # buildkit",
            "COPY a /a # buildkit",
        ]
        assert workshop.build(text, contexts=contexts).cached == 2
        (base / "etc" / "motd").write_text("other")
        assert workshop.build(text, contexts=contexts).cached == 0

    def test_images_in_the_place_of_others(self, workshop: Workshop, tmp_path: Path) -> None:
        layout = tmp_path / "layout.tar"
        workshop.build(
            "FROM busybox\nRUN echo other > /other\n",
            tags="other:1",
            outputs=[f"type=oci,dest={layout}"],
        )
        folder = tmp_path / "layout"
        with tarfile.open(layout) as opened:
            opened.extractall(folder, filter="data")
        text = "FROM alpine AS base\nFROM busybox\nCOPY --from=alpine:latest /other /copied\n"
        for place in (
            "docker-image://other:1",
            f"oci-layout://{folder}",
            f"oci-layout://{folder}:1",
        ):
            result = workshop.build(text, contexts={"alpine": place})
            assert workshop.read(result, "/copied") == b"other\n"
        for place, message in (
            ("docker-image://none", "image docker.io/library/none:latest is not in the store"),
            (f"oci-layout://{folder}:2", "no such image"),
            ("oci-layout:///nowhere", "nowhere"),
            ("/nowhere", "build context /nowhere does not exist"),
            ("target:x", "targets of a bake file are not supported"),
        ):
            with pytest.raises(FastlayerError, match=message):
                workshop.build(text, contexts={"alpine": place})
