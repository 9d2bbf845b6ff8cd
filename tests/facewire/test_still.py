from __future__ import annotations

import numpy as np

from facewire.still import settle
from facewire.wire.keypoints import from_grid, to_grid

STEP = 1.0
UNIT = STEP / 128.0


def test_the_first_points_are_the_nearest_grid_points() -> None:
    points = np.linspace(-0.9, 0.9, 20, dtype=np.float32).reshape(10, 2)
    reference = to_grid(points, STEP)
    assert (settle(points, STEP, reference, None) == 0).all()


def test_jitter_around_a_border_stays_and_motion_goes() -> None:
    reference = np.zeros((10, 2), np.int16)
    last = np.zeros((10, 2), np.int16)
    jitter = np.full((10, 2), 0.65 * UNIT, np.float32)
    assert (settle(jitter, STEP, reference, last) == 0).all()
    assert (settle(jitter, STEP, reference, None) == 1).all()
    motion = np.full((10, 2), -0.8 * UNIT, np.float32)
    assert (settle(motion, STEP, reference, last) == -1).all()


def test_the_error_stays_below_seven_tenths_of_a_step() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (10, 2)).astype(np.float32)
    reference = to_grid(points, STEP)
    last = None
    for _ in range(200):
        points = np.clip(points + rng.normal(0, 0.01, (10, 2)), -1.2, 1.2).astype(np.float32)
        last = settle(points, STEP, reference, last)
        assert np.abs(from_grid(last, STEP, reference) - points).max() <= 0.701 * UNIT


def test_what_is_no_number_does_no_harm() -> None:
    points = np.full((10, 2), np.nan, np.float32)
    zero = np.zeros((10, 2), np.int16)
    assert (settle(points, STEP, zero, zero) == 0).all()
    assert settle(np.full((10, 2), np.inf, np.float32), STEP, zero, zero).max() <= 160
