"""USB and other cameras through Video4Linux2, read by FFmpeg."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facewire.errors import SourceError
from facewire.sources import Spec
from facewire.sources.grabber import Grabber
from facewire.sources.video import Video
from facewire.types import Frame, Picture

QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP from linux/videodev2.h; fills struct v4l2_capability (104 bytes)."""
VIDEO_CAPTURE = 0x00000001
VIDEO_M2M = 0x00008000 | 0x00004000
"""Memory-to-memory devices (a Pi's codecs and scalers) are no cameras."""
DEVICE_CAPS = 0x80000000

Ioctl = Callable[[int, int, bytearray], object]


@dataclass(frozen=True)
class Camera:
    """A capture device: path (/dev/video0) and the name that its driver gives."""

    path: str
    card: str


def _ioctl(handle: int, request: int, buffer: bytearray) -> object:
    import fcntl

    return fcntl.ioctl(handle, request, buffer)


def cameras(root: str = "/dev", ioctl: Ioctl = _ioctl) -> list[Camera]:
    """All capture devices below `root` that can be opened, by number."""
    nodes = [path for path in Path(root).glob("video*") if path.name[5:].isdigit()]
    found = []
    for path in sorted(nodes, key=lambda path: int(path.name[5:])):
        card = capture_card(path, ioctl)
        if card is not None:
            found.append(Camera(str(path), card))
    return found


def capture_card(path: Path, ioctl: Ioctl = _ioctl) -> str | None:
    """The name of the camera at `path`; None when it is no camera or cannot be opened."""
    buffer = bytearray(104)
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        ioctl(handle, QUERYCAP, buffer)
    except OSError:
        return None
    finally:
        os.close(handle)
    _, card, _, _, all_caps, device_caps = struct.unpack_from("<16s32s32sIII", buffer)
    caps = device_caps if all_caps & DEVICE_CAPS else all_caps
    if not caps & VIDEO_CAPTURE or caps & VIDEO_M2M:
        return None
    return str(card.split(b"\0")[0].decode("utf-8", "replace"))


class V4l2Source:
    """`v4l2:/dev/video0[?width=1280&height=720&format=mjpeg]`."""

    live = True
    ended = False

    def __init__(self, spec: Spec, fps: float) -> None:
        """Open the camera. Raises SourceError with one line when there is none, it is in use or may not be opened."""
        path = spec.rest or "/dev/video0"
        self.name = f"v4l2:{path}"
        self._check(path)
        size = f"{round(spec.number('width', 1280))}x{round(spec.number('height', 720))}"
        self._video = self._open(path, size, fps, spec.options.get("format"))
        self._grabber = Grabber(self.name, self._pictures, fps, stall=5.0)

    def _check(self, path: str) -> None:
        if not Path(path).exists():
            others = ", ".join(camera.path for camera in cameras())
            raise SourceError(f"{self.name}: no such device; " + (f"cameras found: {others}" if others else
                              "no camera is connected (use sample: to try without one)"))
        if not os.access(path, os.R_OK | os.W_OK):
            raise SourceError(f"{self.name}: permission denied; add the user to the group 'video'")

    def _open(self, path: str, size: str, fps: float, form: str | None) -> Video:
        # Most USB cameras reach 25 frames a second at this size as MJPEG only; then what the camera has by itself.
        wanted = {"video_size": size, "framerate": f"{fps:g}"}
        tries = [{**wanted, "input_format": form}] if form else [{**wanted, "input_format": "mjpeg"}, wanted]
        tries += [{"video_size": size}, {}]
        error: SourceError | None = None
        for options in tries:
            try:
                return Video(path, self.name, options, "v4l2")
            except SourceError as caught:
                error = error or caught
                if "busy" in str(caught).lower():
                    raise SourceError(f"{self.name}: is in use by another program; stop that first") from caught
        assert error is not None
        raise error

    def _pictures(self) -> Iterator[Picture]:
        for timed in self._video.pictures():
            yield timed.picture

    def read(self, timeout: float) -> Frame | None:
        """See Source.read. An unplugged camera raises SourceError at once, or after five seconds of silence."""
        return self._grabber.read(timeout)

    def close(self) -> None:
        """Give the camera back."""
        self._grabber.close()
        with contextlib.suppress(Exception):
            self._video.close()
