"""Decoding by PyAV (FFmpeg): what file, rtsp and v4l2 have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np

from facewire.errors import MissingDependency, SourceError
from facewire.types import Picture

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

MAX_SIDE = 8192
"""Larger pictures are refused before they are converted: they are a mistake or an attack on our memory."""
MAX_BAD_PACKETS = 250
"""So many damaged packets in a row end a stream; a few are skipped."""


@dataclass(frozen=True)
class TimedPicture:
    """A decoded picture, upright; time in seconds by the stream's stamps; duration in seconds, 0: unknown."""

    picture: Picture
    time: float
    duration: float


class Video:
    """An opened video stream. Raises SourceError with one line whenever FFmpeg fails."""

    def __init__(self, address: str, label: str, options: dict[str, str] | None = None, form: str | None = None,
                 timeout: tuple[float, float] | None = None) -> None:
        """address: what FFmpeg opens; label: how people call it; timeout: seconds to (open, read)."""
        self.label = label
        av = import_av()
        try:
            container = av.open(address, "r", format=form, options=options or {}, timeout=timeout,
                                metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{label}: cannot be opened: {reason(error)}") from error
        self._container: InputContainer = container
        if not container.streams.video:
            self.close()
            raise SourceError(f"{label}: holds no video")
        self._stream = container.streams.video[0]
        if self._stream.codec_context is None:
            self.close()
            raise SourceError(f"{label}: its video is in a format that cannot be decoded, or the file is damaged")
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = 2
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate: float = float(rate) if rate else 25.0
        """Average frames a second by the header; only a fallback where stamps are missing."""

    def pictures(self) -> Iterator[TimedPicture]:
        """All pictures in order. Raises SourceError when the stream breaks; ends when the stream ends."""
        av = import_av()
        bad = given = 0
        packets = self._container.demux(self._stream)
        last = -1.0 / self.rate
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                if given and isinstance(error, av.error.InvalidDataError):
                    return  # A cut file: what was whole has been shown.
                raise SourceError(f"{self.label}: stopped: {reason(error)}") from error
            if packet is None:
                break
            try:
                decoded = packet.decode()
            except (av.error.FFmpegError, OSError) as error:
                bad += 1
                if bad > MAX_BAD_PACKETS:
                    raise SourceError(f"{self.label}: is damaged: {reason(error)}") from error
                continue
            for frame in decoded:
                bad = 0
                given += 1
                stamp = frame.time
                last = float(stamp) if stamp is not None else last + 1.0 / self.rate
                base = frame.time_base
                duration = float((frame.duration or 0) * base) if base is not None else 0.0
                yield TimedPicture(self._upright(frame), last, duration)
        if not given:
            raise SourceError(f"{self.label}: holds no picture that can be decoded; the file is damaged or empty")

    def _upright(self, frame: VideoFrame) -> Picture:
        if frame.width > MAX_SIDE or frame.height > MAX_SIDE:
            raise SourceError(f"{self.label}: {frame.width}x{frame.height} is larger than {MAX_SIDE} a side")
        picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        turns = round(frame.rotation / 90.0) % 4
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    def close(self) -> None:
        """Close the stream; may be called twice."""
        with contextlib.suppress(Exception):
            self._container.close()


def import_av() -> Any:
    """The av module with its log kept to ourselves. Raises MissingDependency when it is not installed."""
    try:
        import av
        import av.error
        import av.logging
    except ImportError as error:
        raise MissingDependency("video files, USB and network cameras need PyAV: pip install av") from error
    av.logging.set_level(None)
    return av


def reason(error: BaseException) -> str:
    """The words of an FFmpeg error without numbers, addresses and brackets, on one line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:200]


def without_password(address: str) -> str:
    """The address without user and password, for logs."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return address.partition(":")[0] + "://?"
