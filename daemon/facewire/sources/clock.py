"""Real-time pacing for sources that could be read faster: files and the sample behave like a camera."""

from __future__ import annotations

import time


class Pacer:
    """Says when frame n is due. A reader that falls behind loses frames, as it would with a camera."""

    def __init__(self, fps: float, patience: float = 0.5) -> None:
        self.fps = fps
        self.patience = patience
        self._start: float | None = None

    def wait(self, number: int, timeout: float) -> bool:
        """Sleep until frame `number` is due; False: that would take longer than `timeout` seconds (which are slept)."""
        due = self.due(number)
        delay = due - time.monotonic()
        if delay > timeout:
            time.sleep(max(0.0, timeout))
            return False
        if delay > 0:
            time.sleep(delay)
        return True

    def due(self, number: int) -> float:
        """The time.monotonic() at which frame `number` is due; the first call starts the clock."""
        if self._start is None:
            self._start = time.monotonic() - number / self.fps
        return self._start + number / self.fps

    def late(self, number: int) -> bool:
        """Frame `number` was due so long ago that it is to be skipped."""
        return time.monotonic() - self.due(number) > self.patience
