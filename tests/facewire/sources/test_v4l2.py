"""Video4Linux2: which device is a camera, and what goes wrong with cameras. Its driver is replaced at the ioctl and at
FFmpeg's open; the rest is real."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.facewire.sources.reading import read_on
from tests.facewire.sources.videos import number_of, numbered

from facewire.errors import SourceError
from facewire.sources import open_source, v4l2
from facewire.sources.v4l2 import Camera, cameras
from facewire.sources.video import TimedPicture


def ioctl(caps: dict[str, tuple[int, int]]) -> Callable[[int, int, bytearray], object]:
    """VIDIOC_QUERYCAP for devices with these (capabilities, device_caps)."""

    def call(handle: int, request: int, buffer: bytearray) -> object:
        assert request == v4l2.QUERYCAP
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        if name not in caps:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        card = name.upper().encode() + b" Cam"
        struct.pack_into("<16s32s32sIII", buffer, 0, b"uvcvideo", card, b"usb", 1, *caps[name])
        return 0

    return call


def test_only_capture_devices_are_cameras(tmp_path: Path) -> None:
    for name in ("video0", "video1", "video2", "video10", "video11", "videotape"):
        (tmp_path / name).touch()
    every = 0x84200001
    caps = {
        "video0": (every, 0x04200001),  # a USB camera
        "video1": (every, 0x04A00000),  # its metadata node
        "video10": (0x84204000, 0x04204000),  # a codec, memory to memory
        "video11": (0x00000001, 0),  # an old driver without device_caps
    }
    assert cameras(str(tmp_path), ioctl(caps)) == [
        Camera(str(tmp_path / "video0"), "VIDEO0 Cam"), Camera(str(tmp_path / "video11"), "VIDEO11 Cam")]
    assert cameras(str(tmp_path / "nowhere")) == []


def test_no_device_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "cameras", list)
    with pytest.raises(SourceError, match=r"v4l2:/dev/video93: no such device; no camera is connected"):
        open_source("v4l2:/dev/video93")
    monkeypatch.setattr(v4l2, "cameras", lambda: [Camera("/dev/video2", "x")])
    with pytest.raises(SourceError, match="cameras found: /dev/video2"):
        open_source("v4l2:/dev/video93")


def test_a_device_that_is_no_camera(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.write_bytes(b"no camera")
    with pytest.raises(SourceError, match="cannot be opened") as caught:
        open_source(f"v4l2:{path}")
    assert "\n" not in str(caught.value)


def test_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SourceError, match="group 'video'"):
        open_source(f"v4l2:{tmp_path / 'video0'}")


class Driver:
    """Stands where Video stands: takes some options, gives pictures until it is unplugged."""

    tried: list[dict[str, str]]
    accepts: Callable[[dict[str, str]], bool]
    unplugged: threading.Event
    closed: bool


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    state = Driver()
    state.tried, state.accepts, state.unplugged, state.closed = [], lambda options: True, threading.Event(), False

    class Video:
        def __init__(self, address: str, label: str, options: dict[str, str], form: str) -> None:
            assert form == "v4l2"
            state.tried.append(options)
            if not state.accepts(options):
                raise SourceError(f"{label}: cannot be opened: Invalid argument")

        def pictures(self) -> Iterator[TimedPicture]:
            number = 0
            while not state.unplugged.wait(0.02):
                yield TimedPicture(numbered(number), number / 25, 0.0)
                number = (number + 1) % 20
            raise SourceError("v4l2: stopped: No such device")

        def close(self) -> None:
            state.closed = True

    monkeypatch.setattr(v4l2, "Video", Video)
    (tmp_path / "video0").touch()
    return state


def test_reads_and_asks_for_mjpeg_first(driver: Driver, tmp_path: Path) -> None:
    source = open_source(f"v4l2:{tmp_path / 'video0'}?width=640&height=480")
    read = [source.read(2.0) for _ in range(5)]
    assert all(frame is not None for frame in read)
    assert number_of(np.asarray(read[0].picture if read[0] else None)) in range(20)
    assert driver.tried == [{"video_size": "640x480", "framerate": "25", "input_format": "mjpeg"}]
    source.close()
    assert driver.closed


def test_takes_what_the_camera_has(driver: Driver, tmp_path: Path) -> None:
    driver.accepts = lambda options: not options
    source = open_source(f"v4l2:{tmp_path / 'video0'}")
    assert len(driver.tried) == 4
    source.close()


def test_in_use(driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(options: dict[str, str]) -> bool:
        raise SourceError("v4l2: cannot be opened: Device or resource busy")

    driver.accepts = busy
    with pytest.raises(SourceError, match="in use by another program"):
        open_source(f"v4l2:{tmp_path / 'video0'}")
    assert len(driver.tried) == 1


def test_unplugged_and_plugged_in_again(driver: Driver, tmp_path: Path) -> None:
    spec = f"v4l2:{tmp_path / 'video0'}"
    source = open_source(spec)
    assert source.read(2.0) is not None
    driver.unplugged.set()
    with pytest.raises(SourceError, match="No such device"):
        read_on(source, 200, 2.0)
    source.close()
    driver.unplugged.clear()
    again = open_source(spec)
    assert again.read(2.0) is not None
    again.close()
