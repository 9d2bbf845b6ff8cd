"""Where pictures go: displays, an RTSP server, files.

    sink = open_sink("rtsp://0.0.0.0:8554/live", size=512, fps=25.0)
    sink.show(picture)
    sink.close()

`SinkSet` shows on several at once, keeps a broken one from hurting the others, and opens it again.
"""

from __future__ import annotations

from facewire.sinks.base import Sink, SinkStats
from facewire.sinks.opening import open_sink
from facewire.sinks.set import SinkSet, SlotState
from facewire.sinks.spec import SinkSpecError, parse_spec

__all__ = ["Sink", "SinkSet", "SinkSpecError", "SinkStats", "SlotState", "open_sink", "parse_spec"]
