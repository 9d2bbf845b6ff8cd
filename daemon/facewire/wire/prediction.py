"""What both ends of the keypoint coder know before each value: its prediction, and how large a miss to expect.

A head moves as a whole, and so do the points on it. Each value is predicted from those before it in its own frame by
fixed weights (wire.tables), which is what a rigid part and its residuals come to, without sending the rigid part:

    a bundle's first frame    value i = sum over j < i of FIRST[i][j] * value j
    the others                change i = sum over j < i of NEXT[i][j] * change j
                                         + PREVIOUS[i] * change i of the frame before + BACK[i] * value i of that frame

in 1/256, rounded; `BACK` draws a point back to where it was when the epoch began. What a prediction misses is expected
to be as large as misses were lately, in this frame and at this coordinate, each measured by the coordinate's usual
size. All state starts anew with each bundle; all arithmetic is on integers, so every machine predicts the same.
"""

from __future__ import annotations

from operator import mul

from facewire.types import KEYPOINTS
from facewire.wire.rangecoder import size_class
from facewire.wire.tables import BACK, FIRST, NEXT, PREVIOUS, SIZE_FIRST, SIZE_NEXT

VALUES = 2 * KEYPOINTS
GRID_LIMIT = 8191
"""Largest coordinate that the code can carry, in steps; the finest step needs 2 * 1.25 * 128 * 16 = 5120."""

_LEVEL_FIRST, _LEVEL_NEXT = 32, 12
"""Expected misses in sixteenths of a step before anything is known, at a coordinate of usual size 16."""
_HALF = 128
"""Rounds weights in 1/256."""


class Predictor:
    """Walks through a bundle value by value: `next`, then `learn`; `end_frame` after each VALUES values."""

    def __init__(self) -> None:
        self._before = [0] * VALUES
        self._moved = [0] * VALUES
        self._recent = _LEVEL_FIRST
        self._here = [0] * VALUES
        self._begun = False
        self._start()

    def _start(self) -> None:
        self.values: list[int] = []
        """The values of the running frame so far."""
        self._changes: list[int] = []

    def next(self) -> tuple[int, int]:
        """Prediction and class of size (see rangecoder.size_class) of the next value."""
        at = len(self.values)
        if self._begun:
            moved = sum(map(mul, NEXT[at], self._changes)) + PREVIOUS[at] * self._moved[at]
            predicted = self._before[at] + ((moved + BACK[at] * self._before[at] + _HALF) >> 8)
            expected = (2 * self._recent + self._here[at]) * SIZE_NEXT[at] // 48
        else:
            predicted = (sum(map(mul, FIRST[at], self.values)) + _HALF) >> 8
            expected = self._recent * SIZE_FIRST[at] >> 4
        return min(max(predicted, -GRID_LIMIT), GRID_LIMIT), size_class(expected)

    def learn(self, value: int, miss: int) -> None:
        """Take the next value and what its prediction missed."""
        at = len(self.values)
        size = 256 * abs(miss) // (SIZE_NEXT[at] if self._begun else SIZE_FIRST[at])
        self._recent += (size - self._recent) >> 3
        if self._begun:
            self._here[at] += 3 * (size - self._here[at]) >> 3
        self._changes.append(value - self._before[at])
        self.values.append(value)

    def end_frame(self) -> None:
        if self._begun:
            self._moved = self._changes
        else:
            self._begun = True
            self._recent = _LEVEL_NEXT
            self._here = [_LEVEL_NEXT] * VALUES
        self._before = self.values
        self._start()
