"""When a receiver should ask for the pivot again: keypoints keep coming, and none of them can be shown. Pure."""

from __future__ import annotations

ASK_SECONDS = 30.0
"""Longer than the slowest profile takes to send a pivot (iridium: 16-20 s), or asking would keep it from arriving."""


class Patience:
    """`lost` once for each stretch of `ASK_SECONDS` in which frames arrived and none of them could be shown."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._generated = 0
        self._undone = 0

    def lost(self, now: float, generated: int, undone: int) -> bool:
        """generated: keypoint frames shown so far; undone: those dropped for want of their pivot or epoch."""
        if generated != self._generated:
            self._generated, self._undone, self._since = generated, undone, now
            return False
        if undone == self._undone or now - self._since < ASK_SECONDS:
            return False
        self._undone, self._since = undone, now
        return True
