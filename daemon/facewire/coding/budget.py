"""What a recording may cost: never more than its profile's ceiling allows over any WINDOW seconds, nor, from its start
to any segment's end, over the whole. Pure: times come with the bytes."""

from __future__ import annotations

from collections import deque

WINDOW = 30.0
"""Seconds."""


class Budget:
    """Bytes on the wire that a recording may still take. rate: bytes a second.

    start: seconds whose bytes may be spent at once; a clip shorter than that may take as much as if it were so long.
    """

    def __init__(self, rate: float, start: float = 0.0) -> None:
        self._rate, self._start = rate, start
        self._total = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def spend(self, time: float, count: float) -> None:
        """Take bytes out; `time` is that of the frame they are sent with and does not run back by more than WINDOW."""
        self._total += count
        self._recent.append((time, count))
        while self._recent and self._recent[0][0] < time - 2 * WINDOW:
            self._recent.popleft()

    def allowance(self, begin: float, end: float) -> int:
        """Bytes for a segment that lasts from `begin` to `end`, not below 0."""
        whole = self._rate * max(end, self._start) - self._total
        full = self._rate * WINDOW
        windows = (full - self._since(begin - WINDOW), full - self._since(end - WINDOW))
        return max(0, int(min(whole, *windows)))

    def _since(self, time: float) -> float:
        return sum(count for at, count in self._recent if at > time)
