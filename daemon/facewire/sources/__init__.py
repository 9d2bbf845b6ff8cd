"""Where pictures come from: cameras, files, network streams and an animated portrait, behind one small protocol.

    spec                      what it is                                     options, after `?` and joined by `&`
    auto                      picamera2, else v4l2, else sample
    picamera2:0               Raspberry Pi camera, by index                  width, height
    v4l2:/dev/video0          any other camera                               width, height, format (mjpeg, yuyv422 ...)
    file:clip.mp4             a video file                                   loop
    rtsp://host/path          a network camera                               (the address is passed on as it is)
    sample:                   a public-domain portrait that talks            size, seconds

Every source gives its pictures on a steady grid of `fps`: a faster camera is thinned, a slower one is repeated, by time
stamps. So the n-th picture that `read` returns belongs at about n / fps seconds, whatever the camera does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl

from facewire.errors import FacewireError, SourceError
from facewire.types import Frame

NAMES = ("auto", "picamera2:", "v4l2:", "file:", "rtsp://", "sample:")


class Source(Protocol):
    """A stream of pictures."""

    @property
    def name(self) -> str:
        """For people and logs; never holds a password."""

    @property
    def live(self) -> bool:
        """Pictures come when they come (a camera, a paced file); False: as fast as they are read."""

    @property
    def ended(self) -> bool:
        """The source is a file and has been read to its end: `read` returns None from now on."""

    def read(self, timeout: float) -> Frame | None:
        """Return the next picture, or None: none came within `timeout` seconds, or the source has `ended`.

        Raises SourceError when the source broke; the caller closes it and opens it again after a while.
        """

    def close(self) -> None:
        """Give the device back. May be called twice."""


@dataclass(frozen=True)
class Spec:
    """A source SPEC taken apart: kind ("file"), rest ("clip.mp4") and options ({"loop": ""})."""

    kind: str
    rest: str
    options: dict[str, str]

    def number(self, key: str, default: float) -> float:
        """The option `key` as a number above zero. Raises SourceError when it is none."""
        text = self.options.get(key)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0.0 < value < 1e6:
            raise SourceError(f"source option {key}={text}: a number above 0 is needed")
        return value


def parse_spec(text: str) -> Spec:
    """Take a SPEC apart. Raises SourceError naming the choices when no source is meant."""
    text = text.strip()
    if text == "auto":
        return Spec("auto", "", {})
    kind, colon, rest = text.partition(":")
    if kind in ("rtsp", "rtsps") and colon:
        return Spec("rtsp", text, {})
    if not colon or kind not in ("picamera2", "v4l2", "file", "sample"):
        raise SourceError(f"source '{text}' is unknown: use one of {'  '.join(NAMES)}")
    rest, _, query = rest.rpartition("?") if _has_options(kind, rest) else (rest, "", "")
    options = dict(parse_qsl(query, keep_blank_values=True))
    allowed = {"picamera2": {"width", "height"}, "v4l2": {"width", "height", "format"}, "file": {"loop"},
               "sample": {"size", "seconds"}}[kind]
    for key in options:
        if key not in allowed:
            raise SourceError(f"source option '{key}' is unknown for {kind}: allowed are {', '.join(sorted(allowed))}")
    return Spec(kind, rest, options)


def _has_options(kind: str, rest: str) -> bool:
    """A file's own name may hold a question mark; only `?loop` at its end is ours."""
    if "?" not in rest:
        return False
    return kind != "file" or rest.rpartition("?")[2].partition("=")[0].isidentifier()


def open_source(spec: str, fps: float = 25.0, pace: bool = True) -> Source:
    """Open the source that `spec` names.

    pace: files and the sample are given out at `fps` by the clock, like a camera; False: as fast as they are read.
    Raises SourceError (cannot be opened) or MissingDependency (a library is not installed), each with one line.
    """
    if not 1.0 <= fps <= 120.0:
        raise SourceError(f"{fps:g} frames a second: allowed are 1 to 120")
    parsed = parse_spec(spec)
    if parsed.kind == "auto":
        return _open_any(fps, pace)
    if parsed.kind == "picamera2":
        from facewire.sources.picamera2 import PiCameraSource

        return PiCameraSource(parsed, fps)
    if parsed.kind == "v4l2":
        from facewire.sources.v4l2 import V4l2Source

        return V4l2Source(parsed, fps)
    if parsed.kind == "rtsp":
        from facewire.sources.rtsp import RtspSource

        return RtspSource(parsed.rest, fps)
    if parsed.kind == "file":
        from facewire.sources.file import FileSource

        return FileSource(parsed.rest, fps, pace=pace, loop="loop" in parsed.options)
    from facewire.sources.sample import SampleSource

    return SampleSource(parsed, fps, pace=pace)


def _open_any(fps: float, pace: bool) -> Source:
    """A camera if there is one that works, else the sample."""
    from facewire.sources import picamera2, v4l2

    if picamera2.cameras():
        try:
            return open_source("picamera2:0", fps, pace)
        except FacewireError:
            pass
    for device in v4l2.cameras():
        try:
            return open_source(f"v4l2:{device.path}", fps, pace)
        except FacewireError:
            continue
    return open_source("sample:", fps, pace)


def frames(source: Source, timeout: float = 10.0) -> Iterator[Frame]:
    """All pictures of a source until it ends. Raises SourceError when none comes for `timeout` seconds."""
    while True:
        frame = source.read(timeout)
        if frame is not None:
            yield frame
        elif source.ended:
            return
        else:
            raise SourceError(f"{source.name}: no picture for {timeout:g} s")
