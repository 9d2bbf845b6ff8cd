"""Sink specifications: `rtsp://0.0.0.0:8554/live`, `hdmi:`, `hdmi:HDMI-A-1`, `window:`, `file:out.mp4`, `null:`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from facewire.errors import SinkError

CHOICES = "rtsp://HOST:PORT/PATH, hdmi:[CONNECTOR], window:, file:OUT.mp4 or .mkv, null:"
FILE_ENDINGS = (".mp4", ".mkv")
RTSP_PORT = 8554
RTSP_KBPS = (100, 50_000)


class SinkSpecError(SinkError):
    """The specification itself is wrong: trying again cannot help."""


@dataclass(frozen=True)
class RtspSpec:
    """Where to serve: `host` to listen on ("0.0.0.0" and "::" are every address), `port` 0 takes any free one."""

    host: str
    port: int
    path: str
    encoder: str = ""
    """Name of a GStreamer H.264 encoder; empty chooses the best that works."""
    kbps: int = 0
    """Bit rate of the video in kbit/s; 0 chooses it by size."""


@dataclass(frozen=True)
class HdmiSpec:
    """A display; `connector` as the kernel names it ("HDMI-A-1"), empty takes the first that is plugged in."""

    connector: str = ""


@dataclass(frozen=True)
class WindowSpec:
    """A window on the desktop."""


@dataclass(frozen=True)
class FileSpec:
    """A video file, .mp4 or .mkv."""

    path: str


@dataclass(frozen=True)
class NullSpec:
    """Shows nothing and counts."""


SinkSpec = RtspSpec | HdmiSpec | WindowSpec | FileSpec | NullSpec


def parse_spec(spec: str) -> SinkSpec:
    """Read one specification. Raises SinkSpecError, in one line, with what is allowed."""
    kind, colon, target = spec.partition(":")
    if not colon:
        raise SinkSpecError(f"sink {spec!r}: no such kind of sink; use {CHOICES}")
    if kind == "rtsp":
        return _rtsp(spec)
    if kind == "hdmi":
        if any(not (c.isalnum() or c == "-") for c in target):
            raise SinkSpecError(f"sink {spec!r}: a connector is named like HDMI-A-1; leave it out to take the first")
        return HdmiSpec(target)
    if kind == "file":
        if not target.lower().endswith(FILE_ENDINGS):
            raise SinkSpecError(f"sink {spec!r}: the file's name must end in {' or '.join(FILE_ENDINGS)}")
        return FileSpec(target)
    if kind in ("window", "null"):
        if target:
            raise SinkSpecError(f"sink {spec!r}: nothing may follow {kind}:")
        return WindowSpec() if kind == "window" else NullSpec()
    raise SinkSpecError(f"sink {spec!r}: no such kind of sink; use {CHOICES}")


def _rtsp(spec: str) -> RtspSpec:
    shape = "use rtsp://HOST:PORT/PATH, for example rtsp://0.0.0.0:8554/live or rtsp://[::]:8554/live"
    try:
        url = urlsplit(spec)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise SinkSpecError(f"sink {spec!r}: {error}; {shape}") from None
    if not host or not spec.startswith("rtsp://"):
        raise SinkSpecError(f"sink {spec!r}: no address to listen on; {shape}")
    if url.username is not None:
        raise SinkSpecError(f"sink {spec!r}: names and passwords are not supported; {shape}")
    path = unquote(url.path).rstrip("/") or "/live"
    if any(not (c.isalnum() or c in "/-_.") for c in path):
        raise SinkSpecError(f"sink {spec!r}: the path may have letters, digits and / - _ . only; {shape}")
    encoder, kbps = "", 0
    for key, value in parse_qsl(url.query, keep_blank_values=True):
        if key == "encoder" and value.isalnum():
            encoder = value
        elif key == "kbps" and value.isdecimal() and RTSP_KBPS[0] <= int(value) <= RTSP_KBPS[1]:
            kbps = int(value)
        else:
            raise SinkSpecError(
                f"sink {spec!r}: {key}={value} is not understood; "
                f"allowed are encoder=NAME and kbps={RTSP_KBPS[0]}..{RTSP_KBPS[1]}"
            )
    return RtspSpec(host, RTSP_PORT if port is None else port, path, encoder, kbps)
