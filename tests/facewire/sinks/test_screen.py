"""The window, HDMI's fall to it, and the child process behind both: on an X server of our own, with screenshots."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facewire.errors import SinkError
from facewire.sinks import SinkSet, hdmi, open_sink
from facewire.sinks.gst import element_exists
from facewire.sinks.screen import ScreenOrder, ScreenSink
from facewire.sinks.screen_child import description, with_padded_rows

pytestmark = pytest.mark.usefixtures("gst_there")


def quarters(size: int) -> Any:
    """Red, green, blue and white."""
    picture = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    picture[:half, :half, 0] = picture[:half, half:, 1] = picture[half:, :half, 2] = picture[half:, half:] = 255
    return picture


def shows(screen: Any, size: int) -> bool:
    """Whether those quarters stand somewhere on the screen."""
    for corner_y, corner_x in zip(*np.nonzero((screen == (255, 0, 0)).all(axis=2)), strict=True):
        part = screen[corner_y : corner_y + size, corner_x : corner_x + size]
        return bool(part.shape == (size, size, 3) and np.abs(part.astype(int) - quarters(size)).max() < 8)
    return False


def show_until(sink: Any, server: Any, size: int) -> bool:
    for _ in range(200):
        sink.show(quarters(size))
        if shows(server.screenshot(), size):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("size", [128, 65])
def test_window_shows_the_picture(x_server: Any, size: int) -> None:
    if not element_exists("ximagesink"):
        pytest.skip("GStreamer has no ximagesink (apt install gstreamer1.0-x)")
    sink = open_sink("window:", size, 25.0)
    assert show_until(sink, x_server, size)
    sink.close()
    sink.close()
    assert not shows(x_server.screenshot(), size)
    with pytest.raises(SinkError):
        sink.show(quarters(size))


def test_hdmi_is_a_window_under_x_and_says_so(
    x_server: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdmi, "_told", set())
    caplog.set_level("INFO", "facewire.sinks")
    for _ in range(2):
        sink = open_sink("hdmi:HDMI-A-1", 64, 25.0)
        assert show_until(sink, x_server, 64)
        sink.close()
    assert len([line for line in caplog.messages if "a window" in line]) == 1


def test_losing_the_x_server_is_a_fault_not_an_end(x_server: Any) -> None:
    sinks = SinkSet(["null:", "window:"], 64, 25.0)
    assert sinks.states()[1].open
    x_server.stop()
    for _ in range(200):
        sinks.show(quarters(64))
        if not sinks.states()[1].open:
            break
        time.sleep(0.02)
    assert not sinks.states()[1].open
    assert sinks.states()[0].fault == ""
    sinks.close()


def test_a_child_that_dies_is_a_fault(x_server: Any) -> None:
    sink = open_sink("window:", 64, 25.0)
    assert isinstance(sink, ScreenSink)
    os.kill(sink.pid, signal.SIGKILL)
    fault = ""
    for _ in range(200):
        try:
            sink.show(quarters(64))
        except SinkError as error:
            fault = str(error)
            break
        time.sleep(0.02)
    assert fault.startswith("window:")
    sink.close()


def test_a_stopped_child_never_blocks_and_is_killed(x_server: Any) -> None:
    sink = open_sink("window:", 128, 25.0)
    assert isinstance(sink, ScreenSink)
    os.kill(sink.pid, signal.SIGSTOP)
    for _ in range(50):
        sink.show(quarters(128))
    assert sink.stats.dropped > 40
    sink.close()
    with pytest.raises(ProcessLookupError):
        os.kill(sink.pid, 0)


def test_a_display_that_is_lost(x_server: Any) -> None:
    sink = ScreenSink("hdmi:HDMI-A-1", ScreenOrder("fakesink", 64, 25.0, (160, 120)), lambda: "was unplugged")
    with pytest.raises(SinkError, match="hdmi:HDMI-A-1: was unplugged"):
        sink.show(quarters(64))
    sink.close()


def test_faults_in_the_childs_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(SinkError, match=":4711") as caught:
        open_sink("window:", 64, 25.0)
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(SinkError, match="no desktop"):
        open_sink("window:", 64, 25.0)
    with pytest.raises(SinkError, match="nosuchsink"):
        ScreenSink("window:", ScreenOrder("nosuchsink", 64, 25.0, None))


def test_rows_are_padded() -> None:
    assert with_padded_rows(bytes(range(27)), 3) == b"".join(
        bytes(range(start, start + 9)) + b"\0\0\0" for start in (0, 9, 18)
    )
    assert with_padded_rows(b"x" * 48, 4) == b"x" * 48


def test_bars_around_the_picture() -> None:
    assert "add-borders=true" in description("fakesink", (1920, 1080))
    assert "videoscale" not in description("fakesink", None)
