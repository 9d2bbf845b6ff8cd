from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.errors import PacketError
from facewire.types import GridPoints
from facewire.wire.keypoints import decode_frames, encode_frames, from_grid, to_grid
from facewire.wire.prediction import GRID_LIMIT

grids = st.lists(
    st.lists(st.integers(-GRID_LIMIT, GRID_LIMIT), min_size=20, max_size=20).map(
        lambda values: np.array(values, np.int16).reshape(10, 2)
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("step", [1 / 16, 0.25, 0.5, 1.0, 2.0, 15.0])
def test_grid_is_as_fine_as_its_step(step: float) -> None:
    points = np.linspace(-1.2, 1.2, 20, dtype=np.float32).reshape(10, 2)
    reference = to_grid(points[::-1], step)
    for base in (None, reference):
        back = from_grid(to_grid(points, step, base), step, base)
        assert back.dtype == np.float32
        assert np.abs(back - points).max() <= step / 128 / 2 + 1e-6


def test_wild_points_are_tamed() -> None:
    wild = np.full((10, 2), np.nan, np.float32)
    wild[0], wild[1], wild[2] = 1e30, -np.inf, np.inf
    back = from_grid(to_grid(wild, 0.5), 0.5)
    assert back[0, 0] == back[2, 0] == 1.25
    assert back[1, 0] == -1.25
    assert back[3, 0] == 0


def test_hostile_grid_stays_in_reach() -> None:
    far = np.full((10, 2), GRID_LIMIT, np.int16)
    assert np.abs(from_grid(far, 15.0, far)).max() == 1.25


@given(grids)
def test_coding_is_lossless(frames: list[GridPoints]) -> None:
    back, deformations, shut, mouths, between = decode_frames(encode_frames(frames), len(frames))
    assert deformations == [None] * len(frames)
    assert not any(shut)
    assert not any(mouths)
    assert not any(between)
    assert all(np.array_equal(a, b) for a, b in zip(frames, back, strict=True))


@given(st.binary(max_size=200), st.integers(1, 64))
def test_any_bytes_decode_or_raise(data: bytes, count: int) -> None:
    try:
        frames, deformations, shut, mouths, between = decode_frames(data, count)
    except PacketError:
        return
    assert encode_frames(frames, 0, deformations, shut, mouths, between)  # what was accepted lies within the limits


@given(grids, st.data())
def test_any_change_is_noticed_or_means_other_points(frames: list[GridPoints], data: st.DataObject) -> None:
    code = bytearray(encode_frames(frames) or b"\0")
    code[data.draw(st.integers(0, len(code) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        back, deformations, shut, mouths, between = decode_frames(bytes(code), len(frames))
    except PacketError:
        return
    assert deformations != [None] * len(frames) or any(shut) or any(mouths) or any(between) or any(
        not np.array_equal(a, b) for a, b in zip(frames, back, strict=True)
    )


def test_still_points_cost_little() -> None:
    still = [np.zeros((10, 2), np.int16)] * 16
    assert len(encode_frames(still)) <= 20


def test_moving_as_a_whole_costs_less_than_moving_apart() -> None:
    dice = np.random.default_rng(1)
    steps = dice.integers(-9, 10, (16, 1, 2)).cumsum(0)
    apart = dice.integers(-9, 10, (16, 10, 2)).cumsum(0)
    together = [np.broadcast_to(step, (10, 2)).astype(np.int16) for step in steps]
    assert len(encode_frames(together)) < 0.6 * len(encode_frames(list(apart.astype(np.int16))))


def test_wildest_bundle_fits_a_packet() -> None:
    wild = [np.full((10, 2), GRID_LIMIT * (-1) ** index, np.int16) for index in range(64)]
    assert len(encode_frames(wild)) < 6 * 1024


def test_beyond_the_limit_is_our_own_error() -> None:
    with pytest.raises(ValueError, match="limit"):
        encode_frames([np.full((10, 2), GRID_LIMIT + 1, np.int16)])
