"""Who wins at the same rate: at the all-in rate of our `bgan` point, clip by clip, and at 2, 4 and 8 times that.

A codec's points of all sizes make one curve: its user picks the size. Between two points the score is interpolated over
the logarithm of the rate, along the front of points that none beats at a lower rate; a codec need not spend all that it
may. Below its lowest point a codec cannot reach the rate on that clip. We ourselves are the front of our profiles.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facewire.profiles import PROFILES
from facewire_export.evaluation.aggregate import CLIP_METRICS, LOWER, Results, mean, value
from facewire_export.evaluation.points import MAIN
from facewire_export.evaluation.records import Record

FACTORS = (1, 2, 4, 8)
ENOUGH = 0.5
"""A codec that reaches a rate on less than this part of the clips cannot do it."""


@dataclass(frozen=True)
class Entry:
    """One codec at one rate by one metric.

    clips: on how many (of so many) it gets down to the rate with a score; theirs and ours: means over those; blind: on
    how many it gets down, but only we have a score; short: on how many it was not measured so high, so that its best is
    that of a lower rate; lowest, at_lowest: mean rate of its lowest points, kbit/s, and their mean score.
    """

    family: str
    clips: int
    blind: int
    short: int
    of: int
    theirs: float | None
    ours: float | None
    lowest: float | None
    at_lowest: float | None
    metric: str

    @property
    def reached(self) -> bool:
        return self.of > 0 and self.clips >= ENOUGH * self.of and self.theirs is not None and self.ours is not None

    @property
    def faceless(self) -> bool:
        """It gets down to the rate, but in its pictures no face is found that could be judged."""
        return not self.reached and self.of > 0 and self.blind >= ENOUGH * self.of

    @property
    def is_open(self) -> bool:
        """We are better than all that was measured of it, but more of it might do better."""
        return self.reached and self.short > ENOUGH * self.clips and self._better is True

    @property
    def _better(self) -> bool | None:
        if self.theirs is None or self.ours is None or self.theirs == self.ours:
            return None
        return (self.ours < self.theirs) == (self.metric in LOWER)

    @property
    def we_win(self) -> bool | None:
        """None where there is nothing to compare, or a dead heat."""
        if self.faceless:
            return True
        return None if not self.reached or self.is_open else self._better


def front(points: Sequence[tuple[float, float]], lower_is_better: bool) -> list[tuple[float, float]]:
    """(rate, score) of those points that no other beats at the same or a lower rate, by rising rate."""
    best: list[tuple[float, float]] = []
    for rate, score in sorted(points, key=lambda p: (p[0], p[1] if lower_is_better else -p[1])):
        if not best or (score < best[-1][1] if lower_is_better else score > best[-1][1]):
            best.append((rate, score))
    return best


def at(curve: Sequence[tuple[float, float]], rate: float) -> float | None:
    """The score of a front at a rate; None below its lowest point, its last score above its highest."""
    if not curve or rate < curve[0][0]:
        return None
    for (low, a), (high, b) in itertools.pairwise(curve):
        if rate <= high:
            share = math.log(rate / low) / math.log(high / low)
            return a + share * (b - a)
    return curve[-1][1]


def contest(results: Results, rate: str = "all_in") -> dict[int, dict[str, list[Entry]]]:
    """factor -> metric -> every codec family. rate: "all_in" or "stream" (nothing but coded bytes)."""
    main = results.records.get(MAIN, {})
    found: dict[int, dict[str, list[Entry]]] = {}
    for factor in FACTORS:
        targets = {clip: factor * record["kbps"][rate] for clip, record in main.items()}
        found[factor] = {
            metric: [_entry(results, family, metric, targets, rate) for family in results.families()]
            for metric in CLIP_METRICS
        }
    return found


def our_points(results: Results) -> list[str]:
    """Our profiles as they are shipped: the curve that we stand for."""
    return [row.name for row in results.ours() if row.name in PROFILES]


def _points(results: Results, names: Sequence[str], clip: str, metric: str, rate: str) -> list[tuple[float, float]]:
    found = []
    for name in names:
        record: Record | None = results.records[name].get(clip)
        score = None if record is None else value(record, metric)
        if record is not None and score is not None:
            found.append((float(record["kbps"][rate]), score))
    return found


def _entry(results: Results, family: str, metric: str, targets: Mapping[str, float], rate: str) -> Entry:
    lower = metric in LOWER
    names = [row.name for row in results.families()[family]]
    profiles = our_points(results)
    # A clip that the codec was not measured on says nothing of it.
    targets = {clip: t for clip, t in targets.items() if any(clip in results.records[name] for name in names)}
    theirs: list[float] = []
    ours: list[float] = []
    lowest: list[tuple[float, float]] = []
    blind = short = 0
    for clip, target in targets.items():
        floor = min(r["kbps"][rate] for name in names if (r := results.records[name].get(clip)) is not None)
        points = _points(results, names, clip, metric, rate)
        if points:
            lowest.append(min(points))
        score = at(front(points, lower), target)
        mine = at(front(_points(results, profiles, clip, metric, rate), lower), target)
        if score is not None and mine is not None:
            theirs.append(score)
            ours.append(mine)
            short += target > max(r for r, _ in points)
        blind += score is None and mine is not None and floor <= target
    return Entry(
        family,
        len(theirs),
        blind,
        short,
        len(targets),
        mean(theirs),
        mean(ours),
        mean(r for r, _ in lowest),
        mean(s for _, s in lowest),
        metric,
    )
