"""What the sinks' tests share: GStreamer or a reason to skip, an X server, moving pictures."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.errors import MissingDependency
from facewire.types import Picture


@pytest.fixture(scope="session")
def gst_there() -> None:
    """Skips without GStreamer's bindings and its RTSP server."""
    gst = importlib.import_module("facewire.sinks.gst")
    try:
        gst.gstreamer()
        gst.repository("GstRtspServer")
        gst.need_elements("x264enc", "rtph264pay", "h264parse")
    except MissingDependency as error:
        pytest.skip(str(error))


class XServer:
    """An Xvfb of our own, 320x240, whose screen lies in a file (the XWD format, X11/XWDFile.h)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        read, write = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-nolisten", "tcp", "-fbdir", str(folder)],
            pass_fds=(write,),
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            self.process.wait()
            pytest.skip("Xvfb does not start here")
        self.display = f":{number}"

    def screenshot(self) -> NDArray[np.uint8]:
        """The whole screen, uint8 [240, 320, 3] RGB."""
        data = (self._folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(data[:100], ">u4")
        start = int(header[0]) + int(header[19]) * 12
        width, height, row = int(header[4]), int(header[5]), int(header[12])
        rows = np.frombuffer(data[start : start + row * height], np.uint8).reshape(height, row)
        return rows[:, : width * 4].reshape(height, width, 4)[:, :, 2::-1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def x_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """A running X server, named by DISPLAY."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (apt install xvfb)")
    server = XServer(tmp_path)
    monkeypatch.setenv("DISPLAY", server.display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield server
    server.stop()


class Projector:
    """Shows a moving picture on a sink, 25 a second, in a thread."""

    def __init__(self, sink: Any, size: int) -> None:
        self._sink, self._size = sink, size
        self._stop = threading.Event()
        self.slowest = 0.0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.04):
            picture: Picture = np.full((self._size, self._size, 3), 60, np.uint8)
            picture[:, number * 4 % self._size :][:, :16] = 220
            number += 1
            began = time.monotonic()
            try:
                self._sink.show(picture)
            except Exception as error:
                self.error = error
                return
            self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def wait_until(true: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
