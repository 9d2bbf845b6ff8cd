from __future__ import annotations

import pytest

from facewire.errors import SinkError
from facewire.sinks import open_sink, parse_spec
from facewire.sinks.spec import FileSpec, HdmiSpec, NullSpec, RtspSpec, SinkSpec, WindowSpec


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("rtsp://0.0.0.0:8554/live", RtspSpec("0.0.0.0", 8554, "/live")),
        ("rtsp://0.0.0.0", RtspSpec("0.0.0.0", 8554, "/live")),
        ("rtsp://[::]:9000/a/b", RtspSpec("::", 9000, "/a/b")),
        ("rtsp://[::1]:0/live/", RtspSpec("::1", 0, "/live")),
        ("rtsp://localhost:1/x?encoder=x264enc&kbps=900", RtspSpec("localhost", 1, "/x", "x264enc", 900)),
        ("hdmi:", HdmiSpec("")),
        ("hdmi:HDMI-A-1", HdmiSpec("HDMI-A-1")),
        ("window:", WindowSpec()),
        ("file:/tmp/a b.MP4", FileSpec("/tmp/a b.MP4")),
        ("file:out.mkv", FileSpec("out.mkv")),
        ("null:", NullSpec()),
    ],
)
def test_reads(spec: str, place: SinkSpec) -> None:
    assert parse_spec(spec) == place


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ":",
        "null",
        "null:x",
        "window:3",
        "screen:",
        "file:",
        "file:out.avi",
        "hdmi:../../etc",
        "hdmi:a b",
        "rtsp:",
        "rtsp://",
        "rtsp://:8554/live",
        "rtsp:/host/live",
        "rtsp://host:port/live",
        "rtsp://host:65536/live",
        "rtsp://host:-1/live",
        "rtsp://[::1/live",
        "rtsp://user:secret@host/live",
        "rtsp://host/live?bitrate=5",
        "rtsp://host/live?kbps=5",
        "rtsp://host/live?kbps=many",
        "rtsp://host/live?encoder=x264enc ! filesink",
        "rtsp://host/li(ve|x)",
        "rtsp://host/%0a",
    ],
)
def test_refuses_in_one_line(spec: str) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(spec, 512, 25.0)
    assert "\n" not in str(caught.value)
    assert repr(spec) in str(caught.value)
