"""The flags of ``build``: what is refused is refused by its name, before anything is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastlayer.cli.build_flags import UNSUPPORTED, UNSUPPORTED_SWITCHES
from fastlayer.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["build", *arguments])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("flag", sorted(UNSUPPORTED))
def test_flags_with_a_value_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, flag, "x", ".")
    assert (code, text.splitlines()[0]) == (125, f"error: build {flag} is not supported")


@pytest.mark.parametrize("flag", sorted(UNSUPPORTED_SWITCHES))
def test_switches_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, flag, ".")
    assert (code, text.splitlines()[0]) == (125, f"error: build {flag} is not supported")


@pytest.mark.parametrize("flag", ["--pull=false", "--rm=true", "--load=true", "--sbom=false"])
def test_what_already_holds_is_accepted(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, flag, "/nowhere")
    assert (code, text.splitlines()[0]) == (1, "error: build context /nowhere does not exist")


def test_short_forms_are_refused_by_the_long_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "build --memory is not supported" in run(capsys, "-m", "1g", ".")[1]
    assert "build --volume is not supported" in run(capsys, "-v", "/a:/b", ".")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--provenance=true", "."), "build --provenance=true is not supported"),
        (("--sbom=true", "."), "build --sbom=true is not supported"),
        (("--secret", "nothing", "."), "--secret nothing is not understood"),
        (("--secret", "id=a,env=NOT_SET_ANYWHERE", "."), "NOT_SET_ANYWHERE is not set"),
        (("--secret", "id=a,src=/nowhere", "."), "/nowhere: No such file or directory"),
        (("--annotation", "a=b", "."), "no output with an OCI manifest is written"),
        (("--annotation", "index:a=b", "."), "an annotation of the index is not supported"),
        (("--allow", "device", "."), "--allow device is not supported"),
        (("--ssh", "default=/nowhere", "."), "/nowhere: No such file or directory"),
        (("--ssh", "default=/etc/passwd,/nowhere", "."), "/nowhere: No such file or directory"),
        (("--build-context", "x", "."), "--build-context x is not understood"),
        (("--build-arg", "=x", "."), "'=x' has no name in front of the ="),
    ],
)
def test_values_are_checked(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(capsys, *arguments)
    assert code == 125
    assert message in text


def test_an_unknown_flag_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "--no-such-flag", ".")
    assert code == 125
    assert "--no-such-flag" in text


def test_a_wrong_source_date_epoch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for flag in ("yesterday", "-1", "1.5", "253402300800"):
        code, text = run(capsys, f"--source-date-epoch={flag}", ".")
        assert code == 125
        assert text.startswith(f"error: --source-date-epoch={flag} is not a number of seconds")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "now")
    assert "SOURCE_DATE_EPOCH=now is not a number" in run(capsys, ".")[1]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTLAYER_ROOT", str(tmp_path / "store"))


def test_a_list_of_platforms_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys, "--platform=linux/amd64,linux/arm64", ".")
    assert (code, text.splitlines()[0]) == (
        125,
        "error: linux/amd64,linux/arm64: several platforms at once are not supported",
    )
