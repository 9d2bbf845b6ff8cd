from __future__ import annotations

import pytest

from facewire.errors import MissingDependency, SinkError
from facewire.sinks.encoders import ENCODERS, H264Encoder, bitrate, choose


def everything(_name: str) -> bool:
    return True


def fine(_encoder: H264Encoder) -> str:
    return ""


def test_hardware_goes_first() -> None:
    assert choose("", everything, fine)[0].element == "nvv4l2h264enc"
    assert choose("", lambda name: name in ("v4l2h264enc", "x264enc"), fine)[0].hardware


def test_hardware_that_does_not_work_is_passed_over_with_the_reason() -> None:
    encoder, passed_over = choose("", everything, lambda e: "no such device" if e.hardware else "")
    assert encoder.element == "x264enc"
    assert len(passed_over) == 3
    assert passed_over[0] == "nvv4l2h264enc does not work: no such device"


def test_an_encoder_without_what_it_needs_is_not_there() -> None:
    assert choose("", lambda name: name != "nvvidconv", fine)[0].element == "v4l2h264enc"


def test_the_wanted_one_or_none() -> None:
    assert choose("openh264enc", everything, fine)[0].element == "openh264enc"
    with pytest.raises(SinkError, match="choose one of"):
        choose("h266enc", everything, fine)
    with pytest.raises(SinkError, match="broken"):
        choose("x264enc", everything, lambda _: "broken")
    with pytest.raises(MissingDependency, match="apt install"):
        choose("", lambda _: False, fine)


def test_words_are_complete() -> None:
    for encoder in ENCODERS:
        words = encoder.description(1300, 25)
        assert "{" not in words
        assert "name=encoder" in words


def test_bitrate_is_bounded() -> None:
    assert bitrate(64, 25.0) == 300
    assert 1000 < bitrate(512, 25.0) < 1600
    assert bitrate(2160, 60.0) == 12_000
