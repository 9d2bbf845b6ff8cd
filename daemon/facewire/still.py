"""Keypoints onto the grid, so that what need not be said costs nothing: each point goes to the grid point nearest to
what the receiver expects anyway, among those that are near enough to where the detector saw it.

A still face sends next to nothing, although the detector trembles; a moving one sends less, and nothing lags: how far
a sent point may be off does not depend on time.
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
