from __future__ import annotations

import pytest
from fastlayer.container import attach
from fastlayer.container.attach import Decoder, Frame, Kind
from fastlayer.errors import ContainerError
from hypothesis import given
from hypothesis import strategies as st

FRAMES = st.lists(st.tuples(st.sampled_from(sorted(Kind)), st.binary(max_size=200)), max_size=20)


@given(FRAMES, st.integers(1, 50))
def test_frames_survive_any_cutting(frames: list[tuple[Kind, bytes]], step: int) -> None:
    data = b"".join(attach.encode(kind, payload) for kind, payload in frames)
    decoder = Decoder()
    found = [
        frame
        for start in range(0, len(data), step)
        for frame in decoder.feed(data[start : start + step])
    ]
    assert found == [Frame(kind, payload) for kind, payload in frames]


def test_numbers() -> None:
    (frame,) = Decoder().feed(attach.encode_numbers(Kind.RESIZE, 24, 80))
    assert frame.numbers() == (24, 80)
    (frame,) = Decoder().feed(attach.encode_numbers(Kind.EXITED, -1))
    assert frame.numbers() == (-1,)


def test_a_failure_keeps_its_exit_code() -> None:
    (frame,) = Decoder().feed(attach.encode_failure(127, "not found", "look"))
    error = attach.failure(frame.payload)
    assert (error.exit_code, str(error), error.hint) == (127, "not found", "look")


def test_a_frame_that_is_too_long_is_refused() -> None:
    with pytest.raises(ContainerError):
        list(Decoder().feed(b"\x01\xff\xff\xff\xff"))
