from __future__ import annotations

import numpy as np
import pytest

from facewire.still import settle
from facewire.types import Points
from facewire.wire.keypoints import encode_frames, from_grid, to_grid

STEP = 1.0
UNIT = STEP / 128.0
ZERO = np.zeros((10, 2), np.int16)


def walk(frames: int, size: float) -> list[Points]:
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (10, 2))
    out = []
    for _ in range(frames):
        points = np.clip(points + rng.normal(0, size, (10, 2)), -1.2, 1.2)
        out.append(points.astype(np.float32))
    return out


def test_the_reference_itself_stays() -> None:
    points = np.linspace(-0.9, 0.9, 20, dtype=np.float32).reshape(10, 2)
    assert (settle([points], STEP, to_grid(points, STEP))[0] == 0).all()


def test_trembling_stays_and_motion_goes() -> None:
    trembling = [np.full((10, 2), sign * 0.65 * UNIT, np.float32) for sign in (1, -1, 1, -1)]
    assert all((grid == 0).all() for grid in settle(trembling, STEP, ZERO))
    assert (settle([np.full((10, 2), -0.8 * UNIT, np.float32)], STEP, ZERO)[0] == -1).all()


@pytest.mark.parametrize("dead_zone", [0.0, 0.2, 0.4])
def test_no_point_is_further_off_than_the_dead_zone_allows(dead_zone: float) -> None:
    frames = walk(60, 0.01)
    reference = to_grid(frames[0], STEP)
    for points, grid in zip(frames, settle(frames, STEP, reference, dead_zone), strict=True):
        assert np.abs(from_grid(grid, STEP, reference) - points).max() <= (0.501 + dead_zone) * UNIT


def test_it_saves_bytes_and_does_not_lag() -> None:
    """A step of 20 pixels is there at once, in the frame in which it happens."""
    frames = walk(16, 0.004)
    reference = to_grid(frames[0], STEP)
    plain = encode_frames([to_grid(points, STEP, reference) for points in frames])
    assert len(encode_frames(settle(frames, STEP, reference))) < 0.95 * len(plain)
    jump = [ZERO.astype(np.float32)] * 3 + [np.full((10, 2), 20 * UNIT, np.float32)] * 2
    assert [int(grid[4, 0]) for grid in settle(jump, STEP, ZERO)] == [0, 0, 0, 20, 20]


def test_what_is_no_number_does_no_harm() -> None:
    assert (settle([np.full((10, 2), np.nan, np.float32)], STEP, ZERO)[0] == 0).all()
    assert settle([np.full((10, 2), np.inf, np.float32)], STEP, ZERO)[0].max() <= 161
