"""What was seen while a pivot ran, and which of it would have been the best pivot.

A live stream begins with the first picture that has a face in it, and many first pictures are poor pivots: the head is
turned, the eyes are shut, somebody is still sitting down. After a while one knows how this person mostly looks. The
picture that is least apart from all the others (their medoid) is what most of what comes can be made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facewire.coding.likeness import apart
from facewire.coding.pivots import Scene
from facewire.face.focus import eye_sharpness
from facewire.types import Picture

MOST = 24
"""Pictures kept (5 MB; 24 MB where large ones are), evenly spread over the time."""
FEWEST = 4
"""What fewer say of somebody is not worth a choice."""
OPEN = 0.7
"""A picture whose eyes are less open than this part of the usual is no pivot: shut eyes cannot be opened again."""
SHARP = 0.9
"""Nor is one whose eyes are less sharp than this part of the usual (face.focus): a head that turns quickly, lids on
their way down."""
PARTED = 0.25
"""Nor is one whose lips are further together than in this part of all: what is between lips cannot be invented, but
lips can be shut (facewire.coding.lips)."""
BETTER = 0.95
"""A picture is better than another if it is apart from all by less than this part."""


@dataclass(frozen=True)
class Seen:
    """A coded picture, and what was measured in it. large: the same at a finer size, where that is wanted."""

    picture: Picture
    scene: Scene
    large: Picture | None = None


class Album:
    """Keeps some of what it is shown. Bounded."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._every = 1
        self._shown = 0

    @property
    def seen(self) -> tuple[Seen, ...]:
        """What is kept, the oldest first."""
        return tuple(self._seen)

    def add(self, seen: Seen) -> None:
        """One more, later than those before; kept only if it has a look."""
        if seen.scene.look is None:
            return
        self._shown += 1
        if (self._shown - 1) % self._every:
            return
        self._seen.append(seen)
        if len(self._seen) > MOST:
            self._seen = self._seen[::2]
            self._every *= 2

    def clear(self) -> None:
        """Something else runs now."""
        self._seen, self._every, self._shown = [], 1, 0


def usual_opening(seen: Sequence[Seen]) -> float:
    """How far the eyes of this face are open as a rule; 0 where nothing is known of them."""
    openings = [one.scene.eyes for one in seen if one.scene.eyes is not None]
    return float(np.median(openings)) if openings else 0.0


def fit(seen: Sequence[Seen]) -> list[bool]:
    """Which of these pictures of one face may be a pivot; one of which nothing is known may."""
    least = OPEN * usual_opening(seen)
    gaps = [one.scene.lips for one in seen if one.scene.lips is not None]
    parted = float(np.quantile(gaps, PARTED)) if gaps else 0.0
    focus = [None if one.scene.face is None else eye_sharpness(one.picture, one.scene.face) for one in seen]
    sharp = SHARP * float(np.median([one for one in focus if one is not None] or [0.0]))
    return [
        (one.scene.eyes is None or one.scene.eyes >= least)
        and (one.scene.lips is None or one.scene.lips >= parted)
        and (its_focus is None or its_focus >= sharp)
        for one, its_focus in zip(seen, focus, strict=True)
    ]


def fittest(seen: Sequence[Seen], current: Seen) -> Seen:
    """The one of `seen` that is the best pivot for all of them; `current` where none is better."""
    looks = [one.scene.look for one in seen if one.scene.look is not None]
    if len(looks) < FEWEST:
        return current

    def cost(one: Seen, may: bool) -> float:
        if one.scene.look is None or not may:
            return float("inf")
        return float(np.mean([apart(one.scene.look, other) for other in looks]))

    *may, now = fit([*seen, current])
    costs = [cost(one, one_may) for one, one_may in zip(seen, may, strict=True)]
    best = int(np.argmin(costs))
    return seen[best] if costs[best] < BETTER * cost(current, now) else current
