"""The Pi camera, against a stand-in for its module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from tests.facewire.sources.fake_picamera2 import Picamera2
from tests.facewire.sources.reading import read_on

from facewire.errors import SourceError
from facewire.sources import open_source, picamera2


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fake = ModuleType("picamera2")
    fake.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", fake)
    monkeypatch.setattr(Picamera2, "made", [])
    yield
    for camera in Picamera2.made:
        camera.unplugged.set()


def test_pictures_are_rgb_and_outlive_the_request() -> None:
    source = open_source("picamera2:0?width=64&height=48")
    assert source.live
    first = source.read(2.0)
    assert first is not None
    assert first.picture.shape == (48, 64, 3)
    for _ in range(10):
        assert source.read(2.0) is not None
    assert tuple(first.picture[24, 32]) == (200, 0, 0), "red first, and not the camera's reused memory"
    source.close()


def test_it_is_configured_for_the_rate_and_given_back() -> None:
    source = open_source("picamera2:0", fps=30.0)
    camera = Picamera2.made[0]
    assert camera.config == {"main": {"size": (1280, 720), "format": "BGR888"}, "buffer_count": 4,
                             "controls": {"FrameRate": 30.0}}
    assert camera.controls == {"AfMode": 2}
    source.close()
    source.close()
    assert camera.calls[:4] == ["configure", "start", "stop", "close"]
    assert camera.closed
    assert camera.held == 0


def test_without_autofocus(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Picamera2.start

    def start(camera: Picamera2) -> None:
        del camera.camera_controls["AfMode"]
        real(camera)

    monkeypatch.setattr(Picamera2, "start", start)
    source = open_source("picamera2:0")
    assert source.read(2.0) is not None
    assert Picamera2.made[0].controls == {}
    source.close()


def test_unplugged_while_running() -> None:
    source = open_source("picamera2:0?width=64&height=48")
    assert source.read(2.0) is not None
    Picamera2.made[0].unplugged.set()
    with pytest.raises(SourceError, match="picamera2:0: failed: Camera frontend has timed out!"):
        read_on(source, 200, 2.0)
    source.close()
    assert Picamera2.made[0].closed


def test_no_camera_and_wrong_number(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="ribbon cable"):
        open_source("picamera2:1")
    with pytest.raises(SourceError, match="camera number"):
        open_source("picamera2:front")
    monkeypatch.setattr(Picamera2, "infos", [])
    assert picamera2.cameras() == []
    with pytest.raises(SourceError, match="0 Pi camera"):
        open_source("picamera2:0")


def test_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Picamera2, "refuse_start", True)
    with pytest.raises(SourceError, match="cannot be started: Failed to start camera: Device or resource busy"):
        open_source("picamera2:0")
    assert Picamera2.made[0].closed, "the next try finds the camera free"


def test_auto_prefers_it() -> None:
    assert picamera2.cameras() == ["imx708"]
    source = open_source("auto")
    assert source.name == "picamera2:0"
    source.close()
