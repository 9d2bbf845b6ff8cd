"""Which pivot each frame of a stretch is animated from, by trial: candidates are coded to the bytes that there are,
reconstructed, and scored against the real frames. For files, where there is time to look (facewire.coding.lookahead).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from facewire.coding.keyframes import CODED_SIZE
from facewire.coding.large import LEAST_BYTES
from facewire.coding.likeness import unlike
from facewire.coding.trial import reconstruct
from facewire.networks import Networks
from facewire.types import Crop, Picture, Points
from facewire.wire.pivot import FINAL_SPEED, PATIENT_SPEED, PROBE_SPEED

SAMPLES = 12
"""Frames that a pivot is scored on."""
VARIED, USUAL = 4, 8
"""Frames of a stretch that are tried as pivots: so many that differ, and so many that are near the middle of all."""
DRAFT_BYTES = 12_000
"""Candidates are compared with one another at this size, or what is allowed if that is less; coded quickly."""
LPIPS = 0.76
"""What LPIPS at 512x512 grows by with unlikeness, from one pivot to another of the same size (17 held-out clips)."""
SWITCH = 0.015
"""What a change of pivot must gain in LPIPS, summed over the samples: each one is seen."""
FRESH = 0.1
"""What each new pivot must gain in the same measure: bytes that are not spent are there for what comes."""
TURN_BYTES = 300
"""What a change of pivot costs on the wire beside the pivot: its slice's headers, the epoch, a bundle that is cut."""
BLUR = ((1_000, 0.081), (2_000, 0.035), (4_000, 0.010), (8_000, 0.0015), (12_000, 0.0))
"""What LPIPS at 512x512 grows by besides where a pivot takes so many bytes instead of 12,000: unlikeness does not see
all of what it then lacks (17 held-out clips)."""
LARGE = ((LEAST_BYTES, -0.0015), (20_000, -0.0049), (32_000, -0.0084))
"""The same where it is large (coding.large; 32 held-out pivots)."""
LEAST_PIVOT = 500
"""A pivot of fewer bytes is worse than the last picture held."""


@dataclass(frozen=True)
class Kept:
    """A pivot that the file holds. gate: see pivots.Taken."""

    pivot_id: bytes
    data: bytes
    crop: Crop
    shape: tuple[int, ...]
    gate: float | None = None


@dataclass(frozen=True)
class Seen:
    """A keypoint frame. coded, points: None where there was no face."""

    number: int
    coded: Picture | None
    points: Points | None


class Plan:
    """Which pivot each frame of a stretch is animated from. fit: numbers of frames that may be pivots; empty: all.
    large: whether pivots are, where there are bytes for it."""

    def __init__(
        self,
        networks: Networks,
        stretch: Sequence[Seen],
        known: Sequence[Kept],
        current: Kept | None,
        allowed: int,
        code: Callable[[Seen, int, int], Kept],
        fit: Collection[int] = (),
        large: bool = False,
    ) -> None:
        self._large = large
        self._networks, self._stretch, self._known, self._current = networks, stretch, known, current
        self._allowed, self._code = allowed, code
        self._faces = [seen for seen in stretch if seen.coded is not None]
        self._fit = [seen for seen in self._faces if seen.number in fit] or self._faces
        self._samples = _spread(self._faces, SAMPLES)

    def choice(self) -> list[Kept] | None:
        """A pivot for each frame; None if there is none to be had."""
        known = [self._scores(kept.data) for kept in self._known]
        options = [(self._known, known, self._allowed // TURN_BYTES, 0)]
        origins: dict[bytes, tuple[Seen, int]] = {}
        for picked in self._candidates() if self._allowed >= LEAST_PIVOT else ():
            turns = 0 if len(picked) == 1 and not known else len(picked)
            each = (self._allowed - turns * TURN_BYTES) // len(picked)
            if each >= LEAST_PIVOT:
                made = [self._code(seen, each, FINAL_SPEED) for seen in picked]
                origins |= {kept.pivot_id: (seen, each) for kept, seen in zip(made, picked, strict=True)}
                scores = [*known, *(self._scores(kept.data) for kept in made)]
                options.append(([*self._known, *made], scores, turns, len(made)))
        rated = []
        for pivots, scores, turns, new in options:
            total, places = self._assign(pivots, scores) if pivots else (0.0, [])
            if places and sum(a != b for a, b in pairwise(places)) <= turns:
                rated.append((total + FRESH * new, [pivots[place] for place in places]))
        if not rated:
            return None
        best = min(rated, key=lambda item: item[0])[1]
        chosen = [best[self._nearest(seen)] for seen in self._stretch]
        used = {kept.pivot_id for kept in chosen} & origins.keys()
        sent = {pivot_id: self._code(*origins[pivot_id], PATIENT_SPEED) for pivot_id in used}
        return [sent.get(kept.pivot_id, kept) for kept in chosen]

    def _candidates(self) -> Iterator[list[Seen]]:
        """The best frame alone, and with the one that helps it most, if there is room for two."""
        wanted = [*_varied(self._faces, VARIED), *_usual(self._fit, USUAL)]
        picked = {(near := _nearest(self._fit, seen)).number: near for seen in wanted}
        tried = list(picked.values())
        size = min(DRAFT_BYTES, self._allowed)
        drafts = np.stack([self._scores(self._code(seen, size, PROBE_SPEED).data) for seen in tried])
        best = int(drafts.mean(1).argmin())
        yield [tried[best]]
        if len(tried) > 1 and self._allowed >= 2 * LEAST_PIVOT:
            together = np.minimum(drafts, drafts[best]).mean(1)
            together[best] = np.inf
            yield [tried[best], tried[int(together.argmin())]]

    def _scores(self, pivot: bytes) -> NDArray[np.float64]:
        """The LPIPS, about, of what this pivot makes of the samples."""
        points = [seen.points for seen in self._samples if seen.points is not None]
        shown = reconstruct(self._networks, pivot, points, CODED_SIZE)
        real = [seen.coded for seen in self._samples if seen.coded is not None]
        sizes, blurs = zip(*(LARGE if self._large and len(pivot) >= LEAST_BYTES else BLUR), strict=True)
        blur = float(np.interp(np.log(len(pivot)), np.log(sizes), blurs))
        return np.array([LPIPS * unlike(a, b) + blur for a, b in zip(real, shown, strict=True)])

    def _assign(self, pivots: Sequence[Kept], scores: Sequence[NDArray[np.float64]]) -> tuple[float, list[int]]:
        """Viterbi: the pivot of each sample with the least sum of LPIPS and of changes; the sum, and places."""
        table = np.stack(scores)
        # Going on with the running pivot costs nothing, beginning with another one is a change too.
        start = [0.0 if self._current in (None, kept) else SWITCH for kept in pivots]
        total = table[:, 0] + np.array(start)
        back: list[NDArray[np.int64]] = []
        for column in table[:, 1:].T:
            moves = total[:, None] + SWITCH * (1 - np.eye(len(pivots)))
            back.append(moves.argmin(0))
            total = moves.min(0) + column
        places = [int(total.argmin())]
        for origin in reversed(back):
            places.append(int(origin[places[-1]]))
        return float(total.min()), places[::-1]

    def _nearest(self, seen: Seen) -> int:
        return min(range(len(self._samples)), key=lambda at: abs(self._samples[at].number - seen.number))


def _spread(faces: Sequence[Seen], most: int) -> list[Seen]:
    """At most `most` of them, evenly spread."""
    places = np.linspace(0, len(faces) - 1, min(most, len(faces)) + 2)[1:-1] if len(faces) > most else range(len(faces))
    return [faces[round(place)] for place in places]


def _nearest(faces: Sequence[Seen], seen: Seen) -> Seen:
    """The one whose keypoints are the least away from `seen`'s."""
    found = [(float(np.abs(one.points - seen.points).sum()), at) for at, one in enumerate(faces)
             if one.points is not None and seen.points is not None]  # fmt: skip
    return faces[min(found)[1]]


def _points(faces: Sequence[Seen]) -> NDArray[np.float32]:
    """All keypoints, float32 [n, 20]."""
    return np.stack([seen.points for seen in faces if seen.points is not None]).reshape(len(faces), -1)


def _from_middle(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each is away from the middle of all, float32 [n]."""
    return np.asarray(np.abs(points - np.median(points, axis=0)).sum(1))


def _usual(faces: Sequence[Seen], parts: int) -> list[Seen]:
    """Of each part of the time the frame that is the least away from the middle of all."""
    away = _from_middle(_points(faces))
    return [faces[int(part[away[part].argmin()])] for part in np.array_split(np.arange(len(faces)), parts) if part.size]


def _varied(faces: Sequence[Seen], most: int) -> list[Seen]:
    """The frame in the middle of all others' keypoints, then always the one furthest from those taken."""
    points = _points(faces)
    picked = [int(_from_middle(points).argmin())]
    while len(picked) < min(most, len(faces)):
        far = np.min([np.abs(points - points[at]).sum(1) for at in picked], axis=0)
        if far.max() <= 0:
            break
        picked.append(int(far.argmax()))
    return [faces[at] for at in picked]
