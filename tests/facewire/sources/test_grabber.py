"""The thread behind live cameras: newest picture only, faults told once, close that returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.facewire.sources.reading import read_on

from facewire.errors import SourceError
from facewire.sources.grabber import Grabber
from facewire.types import Picture


def picture(number: int) -> Picture:
    return np.full((2, 2, 3), number, np.uint8)


def test_a_slow_reader_gets_the_newest() -> None:
    made = threading.Event()
    end = threading.Event()

    def pictures() -> Iterator[Picture]:
        for number in range(20):
            yield picture(number)
        made.set()
        end.wait(5)

    grabber = Grabber("camera", pictures, 25.0)
    assert made.wait(5)
    frame = grabber.read(1.0)
    assert frame is not None
    assert int(frame.picture[0, 0, 0]) == 19
    assert grabber.read(0.01) is None
    end.set()
    grabber.close()


def test_what_a_driver_throws_becomes_one_line() -> None:
    def pictures() -> Iterator[Picture]:
        yield picture(1)
        raise RuntimeError("ioctl\nfailed  badly")

    grabber = Grabber("camera", pictures, 25.0)
    with pytest.raises(SourceError, match="camera: failed: ioctl failed badly"):
        read_on(grabber, 3, 1.0)
    grabber.close()


def test_a_stream_that_ends_is_broken() -> None:
    grabber = Grabber("camera", lambda: iter([picture(1)]), 25.0)
    with pytest.raises(SourceError, match="ended"):
        read_on(grabber, 3, 1.0)


def test_a_stall_is_an_error_and_close_does_not_wait_for_ever() -> None:
    stop = threading.Event()

    def pictures() -> Iterator[Picture]:
        yield picture(1)
        stop.wait(10)

    grabber = Grabber("camera", pictures, 25.0, stall=0.1)
    assert grabber.read(1.0) is not None
    with pytest.raises(SourceError, match="check cable and power"):
        read_on(grabber, 100, 0.05)
    start = time.monotonic()
    grabber.close(wait=0.1)
    assert time.monotonic() - start < 5
    stop.set()


def test_a_slow_camera_is_repeated_up_to_the_rate() -> None:
    def pictures() -> Iterator[Picture]:
        for number in range(4):
            time.sleep(0.1)
            yield picture(number)
        time.sleep(5)

    grabber = Grabber("camera", pictures, 50.0)
    read = []
    while (frame := grabber.read(1.0)) is not None and int(frame.picture[0, 0, 0]) < 3:
        read.append(frame)
    assert len(read) >= 8
    assert np.allclose(np.diff([frame.time for frame in read]), 0.02)
    grabber.close(wait=0.0)
