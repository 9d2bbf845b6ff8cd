"""Playout: frames come in bursts and go out at a steady rate. Pure: the caller brings the time, nothing here reads it.

Call `due(now)` once per output tick. A frame is shown at `anchor + frame.time`; the anchor is set when a stream
starts, so that its first frame is due `delay` seconds after it came; it is shown at once nevertheless, for there is
nothing to look at until then. From then on:

    late a little       the anchor moves by as much: one short stop now, none of that size again. Not at once after an
                        outage, when what was held up is late
    late again          within a minute, and not by seconds: packets get lost here, and the anchor moves as well
    late a lot          frames are shown as soon as they come, the newest of those that come together, until they
                        are on time again (an outage must not become latency)
    late for long       the anchor moves all the same: the way from the sender has become longer
    early all the time  one frame a second is left out until the spare delay is gone; also what evens out two clocks.
                        In the first seconds, of a stream or after an outage, all of it at once: what came first may
                        have waited long
    first after a stop  while it recovers from an outage: shown at once, as a stream's first; the next at its time
    number runs back    another stream: what waits is dropped, the anchor starts anew
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from facewire.types import ShownFrame

AUTO_DELAY = 0.1
"""Seconds between arrival and display at the start. A bundle's frames come together, so this only covers jitter."""
STRETCH = 1.0
"""Lateness in seconds up to which the delay grows."""
STRETCH_AGAIN = 1.6
"""Something that was late by up to this was a lost packet. Where that happened, the delay grows by as much, and a
quarter more. What is later than that is an outage, or was lost twice, which is rare."""
REPEATS = 60.0
"""Seconds for which that is remembered."""
MAX_DELAY = 4.0
"""The delay does not grow beyond this."""
PATIENCE = 1.5
"""Seconds of frames that all come too late before the anchor moves however far."""
PATIENCE_AFTER = 6.0
"""... after an outage, when what was held up comes late for a while and then on time again."""
MAX_AHEAD = 3.0
"""A frame that comes earlier than this before its time, the delay not counted, is of another time line."""
FIRST_WINDOW = 3.0
"""Seconds without a late frame after which the first frames are judged."""
FIRST_WINDOWS = 4
"""Windows in a row in which frames are first frames: a link that was full of a picture clears by and by."""
OUTAGE = 2.0
"""Seconds without a new frame after which the next ones are first frames again."""
STOP = 0.4
"""Seconds without a new frame, soon after an outage, after which the next one does not wait for its time."""
SOON = 1.0
"""... or after this, where more is spare than could be made up for."""
WINDOW = 10.0
"""Seconds over which the smallest headroom must be too large before the delay shrinks."""
RESERVE = 0.06
"""Headroom in seconds that is kept when the delay shrinks."""
SHED_EVERY = 1.0
"""Seconds between two frames that are left out to shrink the delay."""


@dataclass
class PlayoutCounters:
    """Frames, except where noted."""

    taken: int = 0
    """Given to it: shown + dropped + skipped + cleared + what waits."""
    shown: int = 0
    late: int = 0
    """Came after their time; shown at once unless a newer one came with them."""
    dropped: int = 0
    """Dropped, oldest first, because the buffer was full."""
    cleared: int = 0
    """What waited when another stream began."""
    skipped: int = 0
    """Left out for a newer one: to shrink the delay, or because they came late or the caller ticked slowly."""
    repeated: int = 0
    """Ticks at which the last picture stayed although the stream was running."""
    stalls: int = 0
    """Stretches of repeated ticks."""
    restarts: int = 0
    """Streams after the first, and time lines that jumped ahead."""

    def copy(self) -> PlayoutCounters:
        """The counters as they are now."""
        return replace(self)


class Playout:
    """A jitter buffer of at most `capacity` frames.

    fps: ticks a second at which `due` is called. delay: seconds, fixed; 0 adapts it to the link. Drops oldest frames.
    """

    def __init__(self, fps: float = 25.0, delay: float = 0.0, capacity: int = 64) -> None:
        self.period = 1.0 / fps
        self.counters = PlayoutCounters()
        self._adapts = delay <= 0
        self._delay = delay if delay > 0 else AUTO_DELAY
        self._capacity = max(1, capacity)
        self._queue: deque[ShownFrame] = deque()
        self._anchor: float | None = None
        self._now = float("-inf")
        self._newest: int | None = None
        self._running = False
        self._stalled = False
        self._late_since: float | None = None
        self._late_by = 0.0
        """The most by which something is late now."""
        self._long_stop, self._long_stop_at = 0.0, float("-inf")
        """By how much what was late a lot was late, and when it was over."""
        self._recovers = False
        self._least_headroom = float("inf")
        self._window_end = float("inf")
        self._first_windows = FIRST_WINDOWS
        self._spare = 0
        self._shed_at = float("-inf")
        self._shown_at = float("-inf")
        """When the last frame was shown, or should have been where that was before its time."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def delay(self) -> float:
        """Seconds between arrival and display that are aimed at now."""
        return self._delay

    @property
    def begins(self) -> bool:
        """Whether no frame of the stream has been shown yet."""
        return self._anchor is None

    @property
    def stalled(self) -> bool:
        """Whether the last tick had nothing new to show although a stream is running."""
        return self._stalled

    def push(self, frame: ShownFrame, overloaded: bool = False, behind: int = 0) -> None:
        """A finished frame. Numbers rise within a stream; one that does not begins another stream.

        behind: frames that have come as well and are kept back because enough are finished.
        overloaded: it may be late because this machine is slow, which no delay mends; so none is added for it.
        """
        self.counters.taken += 1
        if self._newest is not None and frame.number <= self._newest:
            self.counters.restarts += 1
            self._restart()
        self._newest = frame.number
        if self._anchor is not None:
            # Counted from the next tick, the first at which this frame can be shown.
            headroom = self._anchor + frame.time - (self._now + self.period)
            if headroom > self._delay + MAX_AHEAD:
                self.counters.restarts += 1
                self._restart()
                self._newest = frame.number
            else:
                self._judge(headroom, overloaded, behind * self.period)
        self._queue.append(frame)
        while len(self._queue) > self._capacity:
            self._queue.popleft()
            self.counters.dropped += 1

    def due(self, now: float) -> ShownFrame | None:
        """The frame to show at this tick; None: show the last one again. `now` in seconds, never running back."""
        self._now = max(now, self._now)
        if self._queue and self._anchor is None:
            self._anchor = now + self._delay - self._queue[0].time
            self._window_end = now + FIRST_WINDOW
            self._first_windows, self._shown_at = FIRST_WINDOWS, now
            self._running = self._stalled = False
            self.counters.shown += 1
            return self._queue.popleft()
        self._shrink()
        frame = None
        in_need = self._recovers and self._now - self._shown_at > STOP
        while self._queue and self._anchor is not None:
            at = self._anchor + self._queue[0].time
            # Half a tick of tolerance: a frame meant for this tick must not wait for the next because of rounding.
            if at > self._now + self.period / 2 and not (in_need and frame is None):
                break
            if frame is not None:
                self.counters.skipped += 1
            frame = self._queue.popleft()
            self._shown_at = max(self._now, at)
        if frame is not None:
            self.counters.shown += 1
            self._running, self._stalled = True, False
        elif self._running:
            self.counters.repeated += 1
            if not self._stalled:
                self.counters.stalls += 1
            self._stalled = True
        return frame

    def _judge(self, headroom: float, overloaded: bool, more: float) -> None:
        """Moves the anchor where a frame with this headroom asks for it."""
        self._least_headroom = min(self._least_headroom, headroom + more)
        lateness = -headroom
        again = self._now - self._long_stop_at < REPEATS
        stretch = 1.25 * self._long_stop if again else STRETCH
        if self._now - self._shown_at > OUTAGE:
            self._first_windows, self._recovers = FIRST_WINDOWS, True
        if self._first_windows and lateness > self.period / 2:
            self._window_end, self._least_headroom = self._now + FIRST_WINDOW, float("inf")
        if lateness <= self.period / 2:
            if STRETCH < self._late_by <= STRETCH_AGAIN:
                self._long_stop, self._long_stop_at = self._late_by, self._now
            self._late_since, self._late_by = None, 0.0
            return
        self._late_by = max(self._late_by, lateness)
        self.counters.late += 1
        if self._late_since is None:
            self._late_since = self._now
        if overloaded:
            return
        waited = self._now - self._late_since
        is_little = self._adapts and lateness <= stretch and self._delay + lateness <= MAX_DELAY
        if is_little and not self._queue and waited >= (PATIENCE if self._recovers and not again else 0.0):
            self._delay += lateness
            self._move(lateness)
        elif waited >= (PATIENCE_AFTER if self._recovers else PATIENCE):
            self._move(lateness)

    def _move(self, seconds: float) -> None:
        assert self._anchor is not None
        self._anchor += seconds
        self._least_headroom = float("inf")
        self._window_end = self._now + (FIRST_WINDOW if self._first_windows else WINDOW)
        self._spare = 0
        self._late_since = None

    def _shrink(self) -> None:
        if not self._adapts or self._anchor is None:
            return
        if self._now >= self._window_end:
            # No frame came in this window: nothing is known about the link, so nothing changes.
            known = self._least_headroom != float("inf")
            self._spare = max(0, int((self._least_headroom - RESERVE) / self.period)) if known else 0
            self._least_headroom = float("inf")
            self._window_end = self._now + WINDOW
            if self._first_windows and known:
                # No more than what is here: the rest would only come late. Soon there is more.
                here = min(self._spare, max(0, len(self._queue) - 1))
                self._window_end = self._now + (FIRST_WINDOW if here == self._spare else SOON)
                self._first_windows -= here == self._spare
                self._recovers = self._recovers and self._first_windows > 0
                self._spare = here
                self._anchor -= self._spare * self.period
                self._delay = max(self._delay - self._spare * self.period, self.period)
                self._spare = 0
        if self._spare and self._queue and self._now - self._shed_at >= SHED_EVERY:
            self._anchor -= self.period
            self._delay = max(self._delay - self.period, self.period)
            self._least_headroom -= self.period
            self._spare -= 1
            self._shed_at = self._now

    def _restart(self) -> None:
        self.counters.cleared += len(self._queue)
        self._queue.clear()
        self._anchor = None
        self._newest = None
        self._late_since, self._late_by = None, 0.0
        self._recovers = False
        self._least_headroom = float("inf")
        self._window_end = float("inf")
        self._spare = 0
        if self._adapts:
            self._delay = AUTO_DELAY
