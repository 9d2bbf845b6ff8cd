"""Pictures into a running GStreamer pipeline, never waiting for it."""

from __future__ import annotations

import threading
from typing import Any

from facewire.sinks import gst

QUEUED = 2
"""Pictures that may wait in front of a busy encoder or display; more would only be latency."""

FRONT = (
    "appsrc name=frames is-live=true format=time block=false max-bytes=0 "
    f"! queue name=waiting leaky=downstream max-size-buffers={QUEUED} max-size-bytes=0 max-size-time=0"
)
"""How a fed pipeline begins. leaky=downstream throws the oldest away."""


class Feed:
    """The entrance of one pipeline that begins with FRONT. Its errors are kept for whoever asks.

    GStreamer calls back from its own threads, and this object must not keep the pipeline alive: the callbacks
    touch only counters.
    """

    def __init__(self, line: Any, caps: str, picture_bytes: int) -> None:
        """`line` is the bin or pipeline, `caps` the raw video that `push` brings, of `picture_bytes` each."""
        self._gst = gst.gstreamer()
        self._frames = line.get_by_name("frames")
        self._frames.set_property("caps", self._gst.Caps.from_string(caps))
        self._limit = QUEUED * picture_bytes
        self._lock = threading.Lock()
        self._dropped = 0
        self._stuck = 0
        self._trouble = ""
        line.get_by_name("waiting").connect("overrun", self._overrun)

    def watch(self, bus: Any) -> None:
        """Remember the first error that appears on this bus; whoever else reads the bus still gets it."""
        bus.enable_sync_message_emission()
        bus.connect("sync-message::error", self._failed)

    @property
    def dropped(self) -> int:
        """Pictures thrown away so far."""
        return self._dropped

    @property
    def stuck(self) -> int:
        """Pictures in a row that a running pipeline had no room for."""
        return self._stuck

    @property
    def trouble(self) -> str:
        """The pipeline's first error, one line; "" while there is none."""
        return self._trouble

    @property
    def playing(self) -> bool:
        """Whether the pipeline runs; one that was paused, or waits for its first player, takes no pictures."""
        return bool(self._frames.get_state(0)[1] == self._gst.State.PLAYING)

    def push(self, data: bytes) -> bool:
        """Give one raw picture, to be shown now. Returns False when there was no room for it."""
        if self._frames.get_property("current-level-bytes") >= self._limit:
            # Not running yet, paused, or broken: the queue behind cannot drop what never reaches it.
            if self.playing:
                with self._lock:
                    self._dropped += 1
                    self._stuck += 1
            return False
        self._stuck = 0
        buffer = self._gst.Buffer.new_wrapped(data)
        buffer.pts = self._now()
        return bool(self._frames.emit("push-buffer", buffer) == self._gst.FlowReturn.OK)

    def key_frame(self) -> None:
        """Ask the encoder behind for a key frame now, with its headers."""
        video = gst.repository("GstVideo")
        never = self._gst.CLOCK_TIME_NONE
        self._frames.send_event(video.video_event_new_downstream_force_key_unit(never, never, never, True, 0))

    def _now(self) -> int:
        """Nanoseconds of the pipeline's running time, 0 until it runs.

        appsrc can stamp by itself (do-timestamp), but a pipeline that starts sets its clock a moment before its base
        time: a picture that comes in between is stamped with the machine's uptime, and the pipeline waits that long.
        """
        clock, base = self._frames.get_clock(), self._frames.get_base_time()
        if clock is None or base in (0, self._gst.CLOCK_TIME_NONE):
            return 0
        return max(0, int(clock.get_time()) - int(base))

    def _overrun(self, _queue: Any) -> None:
        with self._lock:
            self._dropped += 1

    def _failed(self, _bus: Any, message: Any) -> None:
        self._trouble = self._trouble or gst.error_text(message)
