from __future__ import annotations

import pytest
from fastlayer.errors import ReferenceFormatError
from fastlayer.oci.reference import parse_reference

DIGEST = "sha256:" + "a" * 64

GOOD = [
    ("site", "docker.io/library/site", "site"),
    ("site:1.0", "docker.io/library/site:1.0", "site:1.0"),
    ("user/site", "docker.io/user/site", "user/site"),
    ("docker.io/site", "docker.io/library/site", "site"),
    ("index.docker.io/library/site", "docker.io/library/site", "site"),
    ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
    ("localhost/site", "localhost/site", "localhost/site"),
    ("localhost:5000/site:x", "localhost:5000/site:x", "localhost:5000/site:x"),
    ("example.com/a/b/c", "example.com/a/b/c", "example.com/a/b/c"),
    ("Example.com/a", "Example.com/a", "Example.com/a"),
    ("[fd00::1]:5000/site", "[fd00::1]:5000/site", "[fd00::1]:5000/site"),
    (f"site@{DIGEST}", f"docker.io/library/site@{DIGEST}", f"site@{DIGEST}"),
    (f"a.b/c:t@{DIGEST}", f"a.b/c:t@{DIGEST}", f"a.b/c:t@{DIGEST}"),
    ("a--b__c/e.f", "docker.io/a--b__c/e.f", "a--b__c/e.f"),
]
BAD = [
    "",
    "Site",
    "site:",
    "site:-x",
    "site:" + "t" * 129,
    "a//b",
    "/a",
    "a/",
    "-a",
    "a.",
    "a___b",
    "site@sha256:xyz",
    "site@" + "a" * 64,
    "a" * 64,
    "x/" + "a" * 250,
    "a b",
    "http://a/b",
]


@pytest.mark.parametrize(("text", "canonical", "familiar"), GOOD)
def test_names(text: str, canonical: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (reference.canonical, reference.familiar) == (canonical, familiar)
    assert parse_reference(reference.canonical) == reference
    assert parse_reference(reference.familiar) == reference


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ReferenceFormatError):
        parse_reference(text)


def test_an_upper_case_name_gets_a_hint() -> None:
    with pytest.raises(ReferenceFormatError, match="must be lowercase") as caught:
        parse_reference("user/Site:X")
    assert caught.value.hint


def test_the_default_tag() -> None:
    assert parse_reference("site").with_default_tag().familiar == "site:latest"
    assert parse_reference("site:1").with_default_tag().familiar == "site:1"
    assert parse_reference(f"site@{DIGEST}").with_default_tag().tag is None
