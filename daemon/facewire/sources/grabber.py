"""A thread that keeps a live camera's newest picture at hand: a slow reader loses pictures, never gets old ones."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from facewire.errors import FacewireError, SourceError
from facewire.sources.steady import LiveRate
from facewire.sources.video import reason
from facewire.types import Frame, Picture

STALL = 10.0
"""Seconds without a picture after which a camera counts as broken (network cameras may take long to a key frame)."""


class Grabber:
    """Runs `pictures` in a thread and gives out its newest picture on a steady grid of `fps`.

    Raises in `read`, once, what the thread died of; SourceError also when nothing came for `stall` seconds.
    """

    def __init__(self, name: str, pictures: Callable[[], Iterator[Picture]], fps: float, stall: float = STALL) -> None:
        self.name = name
        self._pictures = pictures
        self._rate = LiveRate(fps)
        self._stall = stall
        self._ready = threading.Condition()
        self._newest: tuple[Picture, float] | None = None
        self._error: FacewireError | None = None
        self._closing = False
        self._last = time.monotonic()
        self._due: deque[Frame] = deque(maxlen=max(1, round(fps)))
        self._thread = threading.Thread(target=self._run, name=f"grab {name}"[:15], daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for picture in self._pictures():
                with self._ready:
                    if self._closing:
                        return
                    self._newest = (picture, time.monotonic())
                    self._ready.notify()
            error: FacewireError = SourceError(f"{self.name}: the stream ended")
        except FacewireError as caught:
            error = caught
        except Exception as caught:  # A driver's or binding's own error: the daemon's answer is the same.
            error = SourceError(f"{self.name}: failed: {reason(caught)}")
        with self._ready:
            self._error = error
            self._ready.notify()

    def read(self, timeout: float) -> Frame | None:
        """See Source.read; Frame.time is on time.monotonic()."""
        deadline = time.monotonic() + timeout
        while not self._due:
            with self._ready:
                self._ready.wait_for(lambda: self._newest is not None or self._error is not None,
                                     max(0.0, deadline - time.monotonic()))
                newest, self._newest = self._newest, None
                error = self._error
            if newest is not None:
                self._last = newest[1]
                self._due.extend(self._rate.push(*newest))
            elif error is not None:
                raise error
            elif time.monotonic() - self._last > self._stall:
                raise SourceError(f"{self.name}: no picture for {self._stall:g} s; check cable and power")
            elif time.monotonic() >= deadline:
                return None
        return self._due.popleft()

    def close(self, wait: float = 2.0) -> None:
        """Ask the thread to end and wait a little; a thread that hangs in a driver is left behind."""
        with self._ready:
            self._closing = True
        self._thread.join(wait)
