"""The texts of ``--output``."""

from __future__ import annotations

import pytest
from fastlayer.builder.output import Output, parse_output
from fastlayer.errors import UsageError


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", Output(kind="local", destination="out")),
        ("-", Output(kind="tar", destination="-")),
        ("type=local,dest=out", Output(kind="local", destination="out")),
        ("type=oci,dest=x.tar", Output(kind="oci", destination="x.tar")),
        ("type=tar", Output(kind="tar", destination="-")),
        ("type=image", Output(kind="image")),
        (
            'type=image,push=false,"name=a:1,b:2"',
            Output(kind="image", names=("a:1", "b:2")),
        ),
        ("type=cacheonly", Output(kind="cacheonly")),
        ("type=oci,tar=true,oci-mediatypes=true", Output(kind="oci", destination="-")),
        (
            "type=docker,dest=x,name=a:1,compression=zstd,compression-level=9",
            Output(kind="docker", destination="x", names=("a:1",), codec="zstd", level=9),
        ),
        (
            "type=oci,dest=x,compression=uncompressed",
            Output(kind="oci", destination="x", codec="none"),
        ),
    ],
)
def test_understood(text: str, output: Output) -> None:
    assert parse_output(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=registry", "type=registry is not supported"),
        ("type=odd,dest=x", "type=odd is not known"),
        ("type=local", "needs dest=DIRECTORY"),
        ("type=oci,dest=x,compression=lz4", "compression lz4 is not supported"),
        ("type=oci,dest=x,compression-level=high", "is not a number"),
        ("type=oci,dest=x,odd=true", "odd=true is not supported"),
        ("type=oci,dest=x,tar=false", "tar=false is not supported"),
        ("type=image,push=true", "push=true is not supported"),
        ("type=image,dest=x", "type=image goes nowhere, and has no dest"),
        ("type=image,compression=zstd", "type=image has no layers to compress"),
        ("type=local,dest=x,name=a", "type=local has no name"),
        ("type=oci,x", "'x' is not KEY=VALUE"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_output(text)
