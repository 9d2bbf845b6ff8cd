"""Any frame rate onto a steady grid, by time stamps. Pure: no clock, no device."""

from __future__ import annotations

import math
from collections.abc import Iterator

from facewire.types import Frame, Picture

MAX_HOLD = 5.0
"""Seconds that a picture is repeated at most; a longer gap (a stall, a broken time stamp) is cut out."""


class SteadyRate:
    """Gives one picture for each tick of `fps`.

    A picture is shown from the tick nearest to its time stamp until the next picture's; of several pictures at one tick
    the first is taken. A stream that already has this rate passes through one to one, even with time stamps that are
    rounded or jitter by less than half a tick.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._origin = 0.0
        self._start: float | None = None
        self._held: Picture | None = None
        self._tick = 0
        """The tick that the held picture belongs to; ticks before it have been given out."""

    def push(self, picture: Picture, time: float) -> Iterator[Frame]:
        """Take a picture with its time stamp (seconds); return the frames that are settled by it."""
        if self._start is None or self._held is None:
            self._origin, self._start, self._held = time, time, picture
            return
        tick = self._tick_of(time)
        if tick <= self._tick - self.fps or tick - self._tick > MAX_HOLD * self.fps:
            # The stamps jumped: go on from here as if the picture came on the next tick.
            tick = self._tick + 1
            self._start = time - tick / self.fps
        if tick <= self._tick:
            return
        yield from self._hold_until(tick)
        self._held = picture

    def finish(self, duration: float) -> Iterator[Frame]:
        """The last picture, shown for its own `duration` in seconds (at least one tick)."""
        if self._held is None:
            return
        ticks = max(1, round(min(duration, MAX_HOLD) * self.fps))
        yield from self._hold_until(self._tick + ticks)
        self._held = None

    def _tick_of(self, time: float) -> int:
        assert self._start is not None
        return math.floor((time - self._start) * self.fps + 0.5 + 1e-6)

    def _hold_until(self, tick: int) -> Iterator[Frame]:
        assert self._held is not None
        while self._tick < tick:
            yield Frame(self._held, self._origin + self._tick / self.fps)
            self._tick += 1


class LiveRate:
    """The same for a live camera, without waiting for the next picture: it must not add a frame of delay.

    A picture is given out at once if its tick is new; ticks that were missed are filled with the same picture, so that
    the count of frames keeps up with the clock.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._start: float | None = None
        self._tick = -1

    def push(self, picture: Picture, time: float) -> Iterator[Frame]:
        """Take a picture with its time stamp (seconds); return the frames to send now, none when it came too early."""
        if self._start is None:
            self._start = time
        tick = math.floor((time - self._start) * self.fps + 0.5 + 1e-6)
        if tick - self._tick > MAX_HOLD * self.fps or tick < self._tick - self.fps:
            self._start = time - (self._tick + 1) / self.fps
            tick = self._tick + 1
        while self._tick < tick:
            self._tick += 1
            yield Frame(picture, self._start + self._tick / self.fps)
