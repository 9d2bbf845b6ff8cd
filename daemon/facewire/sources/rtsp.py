"""A network camera by RTSP, over TCP because a lost UDP packet smears the face for seconds."""

from __future__ import annotations

from collections.abc import Iterator

from facewire.sources.grabber import Grabber
from facewire.sources.video import Video, without_password
from facewire.types import Frame, Picture

TIMEOUT = 6.0
"""Seconds for the connection, and between two packets."""


class RtspSource:
    """`rtsp://...`; user and password in the address are used and never shown."""

    live = True
    ended = False

    def __init__(self, address: str, fps: float, timeout: float = TIMEOUT) -> None:
        """Connect. Raises SourceError when that fails within `timeout` seconds."""
        self.name = without_password(address)
        options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay",
                   "timeout": str(round(timeout * 1e6)), "allowed_media_types": "video"}
        self._video = Video(address, self.name, options, timeout=(timeout, timeout))
        self._grabber = Grabber(self.name, self._pictures, fps)

    def _pictures(self) -> Iterator[Picture]:
        for timed in self._video.pictures():
            yield timed.picture

    def read(self, timeout: float) -> Frame | None:
        """See Source.read."""
        return self._grabber.read(timeout)

    def close(self) -> None:
        """Disconnect. The thread ends first: FFmpeg must not lose its container while it reads from it."""
        self._grabber.close(wait=TIMEOUT + 1.0)
        self._video.close()
