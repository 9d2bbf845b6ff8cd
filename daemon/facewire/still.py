"""Keypoints onto the grid, so that a still face costs nothing: a point leaves its grid point only when it is clearly
nearer to another one. Detector jitter around a border between two grid points would be sent as motion otherwise."""

from __future__ import annotations

import numpy as np

from facewire.types import GridPoints, Points
from facewire.wire.keypoints import REACH, to_grid

DEAD_ZONE = 0.2
"""Grid steps beyond the half step that a point must move before it is sent anew."""


def settle(points: Points, step: float, reference: GridPoints, last: GridPoints | None) -> GridPoints:
    """Grid points relative to `reference`; those within the dead zone stay at `last` (relative as well)."""
    grid = to_grid(points, step, reference)
    if last is None:
        return grid
    exact = np.clip(np.nan_to_num(np.asarray(points, np.float64)), -REACH, REACH) * (128.0 / step) - reference
    return np.where(np.abs(exact - last) <= 0.5 + DEAD_ZONE, last, grid).astype(np.int16)
