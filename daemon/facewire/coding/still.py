"""What keeps still what only trembles, without any lag.

`calmed`    each point becomes the mean of where it was seen and of the middle between the frames before and after,
            once and twice away; a middle that is near counts much and one that is far little, so that turns and
            starts stay (after the bilateral filter: Tomasi, Manduchi, ICCV 1998). The detector's trembling would
            show: it moves the whole picture.
`settle`    onto the grid, so that what need not be said costs nothing: each point goes to the grid point nearest to
            what the receiver expects anyway, among those that are near enough to where it was seen. How far a sent
            point may be off does not depend on time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from facewire.types import KEYPOINTS, GridPoints, Points
from facewire.wire.keypoints import in_steps
from facewire.wire.prediction import GRID_LIMIT, Predictor

DEAD_ZONE = 0.2
"""Grid steps beyond the half step that a sent point may be off (results/keypoint_codec.json)."""
AROUND_SECONDS = 0.17
"""How far a frame may be from one that it calms."""
FADING_SECONDS, NEAR = 0.12, 0.6 / 128
"""Spread of the weights in time, and in place (half crops)."""


def calmed(frames: Sequence[tuple[int, Points | None]], fps: float) -> list[tuple[int, Points | None]]:
    """Frames (number, points float [10, 2] or None for none) that follow one another, without trembling.

    A frame is calmed by as many frames before it as after it: the first and the last stay as they are.
    """
    out: list[tuple[int, Points | None]] = []
    for at, (number, points) in enumerate(frames):
        if points is None:
            out.append((number, None))
            continue
        total, weights = points.astype(np.float64), np.ones((KEYPOINTS, 1))
        for (earlier, before), (later, after) in zip(reversed(frames[:at]), frames[at + 1 :], strict=False):
            apart = max(number - earlier, later - number) / fps
            if apart > AROUND_SECONDS or before is None or after is None:
                break
            between = (before + after) / 2
            far = ((between - points) ** 2).sum(1, keepdims=True) / NEAR**2 + (apart / FADING_SECONDS) ** 2
            weight = 2 * np.exp(-far / 2)
            total, weights = total + weight * between, weights + weight
        out.append((number, (total / weights).astype(np.float32)))
    return out


def settle(
    frames: Sequence[Points], step: float, reference: GridPoints, dead_zone: float = DEAD_ZONE
) -> list[GridPoints]:
    """Grid points, relative to `reference`, of the frames of one bundle (each float [10, 2]).

    Walks through them as the coder will; see wire.keypoints.in_steps for what is clipped.
    """
    predictor = Predictor()
    out: list[GridPoints] = []
    off = 0.5 + dead_zone
    for points in frames:
        for exact in in_steps(points, step, reference).reshape(-1).tolist():
            predicted, _ = predictor.next()
            value = min(max(predicted, math.ceil(exact - off)), math.floor(exact + off))
            value = min(max(value, -GRID_LIMIT), GRID_LIMIT)
            predictor.learn(value, value - predicted)
        out.append(np.array(predictor.values, np.int16).reshape(KEYPOINTS, 2))
        predictor.end_frame()
    return out
