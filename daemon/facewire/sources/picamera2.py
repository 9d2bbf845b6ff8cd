"""The Raspberry Pi's camera through picamera2, which the distribution brings (apt), not the package index."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from facewire.errors import MissingDependency, SourceError
from facewire.sources import Spec
from facewire.sources.grabber import Grabber
from facewire.sources.video import reason
from facewire.types import Frame, Picture

HINT = "apt install python3-picamera2, in a virtual environment made with --system-site-packages"


def _module() -> Any:
    """picamera2's class. Raises MissingDependency: where libcamera is missing, its import fails in several ways."""
    try:
        from picamera2 import Picamera2
    except Exception as error:
        raise MissingDependency(f"the Pi camera needs picamera2 ({reason(error)}): {HINT}") from error
    return Picamera2


def cameras() -> list[str]:
    """The models of the connected Pi cameras; empty when there is none or picamera2 is not installed."""
    try:
        return [str(info.get("Model", "camera")) for info in _module().global_camera_info()]
    except Exception:
        return []


class PiCameraSource:
    """`picamera2:0[?width=1280&height=720]`."""

    live = True
    ended = False

    def __init__(self, spec: Spec, fps: float) -> None:
        """Configure and start camera number `spec.rest`. Raises SourceError or MissingDependency."""
        self.name = f"picamera2:{spec.rest or '0'}"
        if not (spec.rest or "0").isdigit():
            raise SourceError(f"{self.name}: a camera number such as picamera2:0 is needed")
        picamera2 = _module()
        number = int(spec.rest or "0")
        size = (round(spec.number("width", 1280)), round(spec.number("height", 720)))
        try:
            count = len(picamera2.global_camera_info())
            if number >= count:
                raise SourceError(f"{self.name}: {count} Pi camera(s) found; check the ribbon cable")
            self._camera = picamera2(number)
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(f"{self.name}: cannot be opened: {reason(error)}") from error
        try:
            # libcamera names formats by the order in a little-endian word: its BGR888 is R, G, B in memory.
            config = self._camera.create_video_configuration(
                main={"size": size, "format": "BGR888"}, buffer_count=4, controls={"FrameRate": fps})
            self._camera.configure(config)
            self._camera.start()
        except Exception as error:
            self._shut()
            raise SourceError(f"{self.name}: cannot be started: {reason(error)}") from error
        with contextlib.suppress(Exception):  # Fixed-focus cameras refuse the control; 2 is continuous auto-focus.
            if "AfMode" in self._camera.camera_controls:
                self._camera.set_controls({"AfMode": 2})
        self._grabber = Grabber(self.name, self._pictures, fps, stall=5.0)

    def _pictures(self) -> Iterator[Picture]:
        while True:
            request = self._camera.capture_request()
            try:
                # The array lies in the camera's own memory, which goes back to it with release().
                picture: Picture = np.array(request.make_array("main")[:, :, :3])
            finally:
                request.release()
            yield picture

    def read(self, timeout: float) -> Frame | None:
        """See Source.read."""
        return self._grabber.read(timeout)

    def close(self) -> None:
        """Stop and close the camera."""
        self._grabber.close()
        self._shut()

    def _shut(self) -> None:
        for step in ("stop", "close"):
            with contextlib.suppress(Exception):
                getattr(self._camera, step)()
