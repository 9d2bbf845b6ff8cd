"""A stand-in for the picamera2 module: the calls that we use, with the rules that the real one enforces.

After picamera2 0.3 (picamera2.py, request.py): configure only when stopped; capture only when started; a request's
memory is the camera's and is overwritten after release(); no more requests than buffers may be held; close() ends all.
"""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import numpy as np


class CompletedRequest:
    def __init__(self, camera: Picamera2, array: np.ndarray[Any, Any]) -> None:
        self._camera, self._array, self._held = camera, array, True

    def make_array(self, name: str) -> np.ndarray[Any, Any]:
        assert self._held, "the request has been released"
        assert name == "main"
        return self._array

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": time.monotonic_ns()}

    def release(self) -> None:
        assert self._held, "released twice"
        self._held = False
        self._array[:] = 0
        self._camera.held -= 1


class Picamera2:
    infos: ClassVar[list[dict[str, Any]]] = [{"Model": "imx708", "Num": 0}]
    made: ClassVar[list[Picamera2]] = []
    refuse_start: ClassVar[bool] = False

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return Picamera2.infos

    def __init__(self, camera_num: int = 0) -> None:
        if camera_num >= len(self.infos):
            raise IndexError("list index out of range")
        self.config: dict[str, Any] | None = None
        self.controls: dict[str, Any] = {}
        self.camera_controls = {"AfMode": (0, 2, 0), "FrameDurationLimits": (1, 1, 1)}
        self.started = self.closed = False
        self.unplugged = threading.Event()
        self.held = 0
        self.count = 0
        self.calls: list[str] = []
        Picamera2.made.append(self)

    def create_video_configuration(self, main: dict[str, Any], buffer_count: int = 6,
                                   controls: dict[str, Any] | None = None) -> dict[str, Any]:
        assert set(main) <= {"size", "format"}
        assert main["format"] in ("BGR888", "RGB888", "XBGR8888", "XRGB8888", "YUV420")
        return {"main": main, "buffer_count": buffer_count, "controls": controls or {}}

    def configure(self, config: dict[str, Any]) -> None:
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        self.calls.append("configure")
        self.config = config

    def start(self) -> None:
        if self.config is None:
            raise RuntimeError("Camera has not been configured")
        if self.refuse_start:
            raise RuntimeError("Failed to start camera: Device or resource busy")
        self.calls.append("start")
        self.started = True

    def set_controls(self, controls: dict[str, Any]) -> None:
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.controls.update(controls)

    def capture_request(self) -> CompletedRequest:
        if not self.started or self.config is None:
            raise RuntimeError("Camera is not started")
        assert self.held < self.config["buffer_count"], "requests are not given back"
        time.sleep(0.004)
        if self.unplugged.is_set():
            raise RuntimeError("Camera frontend has timed out!")
        self.held += 1
        self.count += 1
        width, height = self.config["main"]["size"]
        array = np.zeros((height, width, 3), np.uint8)
        # "BGR888" is red, green, blue in memory.
        array[..., 0 if self.config["main"]["format"] == "BGR888" else 2] = 200
        array[0, 0] = self.count % 256
        return CompletedRequest(self, array)

    def stop(self) -> None:
        self.calls.append("stop")
        self.started = False

    def close(self) -> None:
        assert not self.started, "close without stop"
        self.calls.append("close")
        self.closed = True
