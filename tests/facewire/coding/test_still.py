from __future__ import annotations

import numpy as np
import pytest

from facewire.coding.still import calmed, settle
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


FPS = 25.0


def trembling(frames: int, speed: float = 0.0) -> list[tuple[int, Points | None]]:
    """Every second frame of a head that moves by `speed` pixels of 256 a frame and trembles by a third of one."""
    dice = np.random.default_rng(3)
    return [(2 * at, ((at * speed + dice.normal(0, 0.3, (10, 2))) / 128).astype(np.float32)) for at in range(frames)]


def seen_points(frames: list[tuple[int, Points | None]]) -> Points:
    """Points [n, 10, 2] of frames that all have some."""
    found = [points for _, points in frames if points is not None]
    assert len(found) == len(frames)
    return np.stack(found)


def off(frames: list[tuple[int, Points | None]], speed: float) -> float:
    """Standard deviation from the way, pixels, of the frames in the middle."""
    seen = [points * 128 - at * speed for at, (_, points) in enumerate(frames) if points is not None]
    return float(np.std(seen[2:-2]))


@pytest.mark.parametrize("speed", [0.0, 0.5, 2.0])
def test_trembling_becomes_less_and_nothing_lags(speed: float) -> None:
    seen = trembling(200, speed)
    calm = calmed(seen, FPS)
    assert off(calm, speed) < 0.75 * off(seen, speed)
    assert [number for number, _ in calm] == [number for number, _ in seen]
    lag = np.mean([points * 128 - at * speed for at, (_, points) in enumerate(calm) if points is not None])
    assert abs(lag) < 0.1


def test_a_jump_stays_a_jump() -> None:
    jump = [(2 * at, np.full((10, 2), 0.2 * (at > 4), np.float32)) for at in range(10)]
    assert np.allclose(seen_points(calmed([*jump], FPS)), seen_points([*jump]))


def test_what_is_alone_stays_as_it_is() -> None:
    """First, last, beside a frame without a face, or far away in time."""
    seen = trembling(9)
    gap = [*seen[:4], (8, None), *seen[5:]]
    calm = calmed(gap, FPS)
    assert calm[4] == (8, None)
    for at in (0, 3, 5, 8):
        assert np.array_equal(seen_points([calm[at]]), seen_points([gap[at]]))
    slow = [(10 * at, points) for at, (_, points) in enumerate(seen)]
    assert np.array_equal(seen_points(calmed(slow, FPS)), seen_points(slow))
    assert calmed([], FPS) == []
