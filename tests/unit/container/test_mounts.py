from __future__ import annotations

import pytest
from fastlayer.container.mounts import VolumeRequest, parse_volume
from fastlayer.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", VolumeRequest("", "/data", False)),
        ("/a:/b", VolumeRequest("/a", "/b", False)),
        ("/a:/b/../c/:ro", VolumeRequest("/a", "/c", True)),
        ("./x:/b:rw", VolumeRequest("./x", "/b", False)),
    ],
)
def test_parse_volume(text: str, expected: VolumeRequest) -> None:
    assert parse_volume(text) == expected


@pytest.mark.parametrize("text", ["", "/a:b", "name:/b", "/a:/b:z", "/a:/", ":/b", "/a:/b:ro:x"])
def test_a_wrong_volume_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_volume(text)
