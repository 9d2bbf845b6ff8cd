from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from facewire import keeper
from facewire.errors import MissingDependency, SourceError
from facewire.keeper import QUEUE, SourceKeeper
from facewire.types import Frame


class Camera:
    """Gives so many pictures, then breaks or ends."""

    def __init__(self, name: str = "rtsp://cam/x", pictures: int = 3, ends: bool = False, same: bool = False) -> None:
        self.name, self.live, self.ended, self.closed = name, True, False, False
        self._left, self._ends, self._same, self._count = pictures, ends, same, 0

    def read(self, timeout: float) -> Frame | None:
        if self._left == 0:
            if self._ends:
                self.ended = True
                return None
            raise SourceError("rtsp://cam/x: unplugged")
        self._left -= 1
        self._count += 1
        time.sleep(0.001)
        shade = 0 if self._same else self._count % 256
        return Frame(np.full((32, 32, 3), shade, np.uint8), self._count / 25)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE", 0.05)


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def count(source: SourceKeeper, wanted: int, seconds: float = 10.0) -> int:
    found = 0
    end = time.monotonic() + seconds
    while found < wanted and time.monotonic() < end and not source.is_empty:
        found += source.read(0.1) is not None
    return found


def test_a_camera_that_breaks_is_opened_again() -> None:
    opened: list[Camera] = []

    def opener(spec: str, fps: float) -> Camera:
        opened.append(Camera())
        return opened[-1]

    source = SourceKeeper("rtsp://cam/x", 25.0, opener)
    assert count(source, 10) == 10
    source.close()
    assert len(opened) >= 4
    assert all(camera.closed for camera in opened)


def test_trouble_is_told_and_ends() -> None:
    cameras: list[Camera | SourceError] = [Camera(pictures=1), Camera(pictures=10**6)]
    plugged = [False]

    def opener(spec: str, fps: float) -> Camera:
        item = cameras.pop(0) if len(cameras) > 1 or plugged[0] else SourceError("rtsp://cam/x: no route")
        if isinstance(item, SourceError):
            raise item
        return item

    source = SourceKeeper("rtsp://cam/x", 25.0, opener)
    assert until(lambda: source.trouble == "rtsp://cam/x: no route")
    plugged[0] = True
    assert until(lambda: source.trouble is None)
    source.close()


def test_a_camera_that_is_not_there_at_first_is_waited_for() -> None:
    tries: list[int] = []

    def opener(spec: str, fps: float) -> Camera:
        tries.append(1)
        if len(tries) < 3:
            raise SourceError("v4l2:/dev/video0: no such device")
        return Camera("v4l2:/dev/video0")

    source = SourceKeeper("v4l2:/dev/video0", 25.0, opener)
    assert source.trouble is not None
    assert count(source, 1) == 1
    source.close()


def test_what_only_a_person_can_mend_is_raised() -> None:
    def absent(spec: str, fps: float) -> Camera:
        raise MissingDependency("pip install av")

    with pytest.raises(MissingDependency):
        SourceKeeper("rtsp://cam/x", 25.0, absent)
    with pytest.raises(SourceError):
        SourceKeeper("file:/no/such/file.mp4", 25.0)
    with pytest.raises(SourceError):
        SourceKeeper("nonsense", 25.0)


def test_a_frozen_camera_is_opened_again() -> None:
    opened: list[Camera] = []

    def opener(spec: str, fps: float) -> Camera:
        opened.append(Camera(pictures=1000, same=True))
        return opened[-1]

    source = SourceKeeper("rtsp://cam/x", 25.0, opener)
    seen: list[str] = []

    def frozen() -> bool:
        source.read(0.01)
        if source.trouble:
            seen.append(source.trouble)
        return len(opened) > 1

    assert until(frozen)
    source.close()
    assert any("frozen" in text for text in seen)


def test_a_film_ends() -> None:
    source = SourceKeeper("file:x.mp4", 25.0, lambda spec, fps: Camera("file:x.mp4", 4, ends=True, same=True))
    assert count(source, 100) == 4
    assert source.is_empty
    assert source.read(0.0) is None
    source.close()


def test_a_slow_reader_gets_new_frames() -> None:
    source = SourceKeeper("rtsp://cam/x", 25.0, lambda spec, fps: Camera(pictures=10**6))
    assert until(lambda: source.dropped > 50)
    frame = source.read(0.0)
    assert frame is not None
    assert frame.time * 25 > 50 - QUEUE
    source.close()
