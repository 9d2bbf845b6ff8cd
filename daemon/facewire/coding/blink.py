"""The first blink before a pivot that shows open eyes only. It is over in 0.2 s, so all frames are looked at."""

from __future__ import annotations

from collections import deque

import numpy as np

from facewire.coding.album import Seen
from facewire.coding.lids import SHUT, opening
from facewire.coding.pivots import Scene
from facewire.face.mesh import Landmarks, eye_opening
from facewire.face.pose import head_pose
from facewire.types import Picture

OVER = 5
"""Frames after the one whose eyes are most shut: a blink shuts no further then."""
FEWEST, MOST = 12, 250
"""Frames that say how far somebody's eyes are open as a rule, and how many are kept."""


class Blink:
    """Keeps the picture of one blink: that in which the eyes are most shut."""

    def __init__(self) -> None:
        self._best: Seen | None = None
        self._since = 0
        self._openings: deque[float] = deque(maxlen=MOST)

    @property
    def usual(self) -> float:
        """How far the eyes were open as a rule; 0 while that is not known."""
        return float(np.median(self._openings)) if len(self._openings) >= FEWEST else 0.0

    def look(self, picture: Picture, face: Landmarks, pivot: Scene) -> None:
        """The next frame: a coded picture, as the pivot is one, and the face in it."""
        open_by = opening(pivot, self.usual)
        if open_by is None or (self._best is not None and self._since >= OVER):
            return
        self._since += 1
        least = SHUT * open_by if self._best is None or self._best.scene.eyes is None else self._best.scene.eyes
        now = eye_opening(face)
        self._openings.append(now)
        if now < least:
            self._best, self._since = Seen(picture, Scene(head_pose(face, picture.shape[0]), face=face)), 0

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The picture, once the blink is over; nothing before."""
        return () if self._best is None or self._since < OVER else (self._best,)

    def clear(self) -> None:
        """Wait for another one, perhaps somebody else's."""
        self._best, self._since = None, 0
        self._openings.clear()
