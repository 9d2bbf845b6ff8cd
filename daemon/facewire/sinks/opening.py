"""From a specification to an open sink. What a sink needs is imported only when that sink is opened."""

from __future__ import annotations

from facewire.sinks.base import Sink
from facewire.sinks.null import NullSink
from facewire.sinks.spec import FileSpec, HdmiSpec, RtspSpec, WindowSpec, parse_spec


def open_sink(spec: str, size: int, fps: float) -> Sink:
    """Open one sink for pictures of `size` x `size` pixels, `fps` a second.

    Raises SinkSpecError (a SinkError) when the specification is wrong, SinkError when the sink cannot be opened
    now, MissingDependency when a library is not installed.
    """
    place = parse_spec(spec)
    if isinstance(place, RtspSpec):
        from facewire.sinks.rtsp import RtspSink

        return RtspSink(place, size, fps)
    if isinstance(place, HdmiSpec):
        from facewire.sinks.hdmi import open_hdmi

        return open_hdmi(place, size, fps)
    if isinstance(place, WindowSpec):
        from facewire.sinks.window import open_window

        return open_window(size, fps)
    if isinstance(place, FileSpec):
        from facewire.sinks.file import FileSink

        return FileSink(place.path, size, fps)
    return NullSink()
