from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.errors import PacketError
from facewire.types import GridDeformation
from facewire.wire.deformation import (
    ESCAPE,
    KINDS,
    LIMIT,
    _Walk,
    change_bits,
    get_deformations,
    kind_of,
    most_frames,
    put_deformations,
)
from facewire.wire.keypoints import decode_frames, encode_frames
from facewire.wire.packets import MAX_PACKET_BYTES
from facewire.wire.prediction import GRID_LIMIT
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder


def wave(kind: int, count: int, size: float = 6.0) -> list[GridDeformation]:
    """Smooth in space and time, as real ones are."""
    nodes = KINDS[kind].nodes
    y, x = np.mgrid[0:nodes, 0:nodes] / nodes
    moves = [np.stack([np.sin(x + 0.2 * at), np.cos(y - 0.1 * at)]) for at in range(count)]
    return [np.rint(size * move).astype(np.int16) for move in moves]


def coded(frames: list[GridDeformation]) -> bytes:
    out = RangeEncoder()
    put_deformations(out, frames)
    return out.bytes()


@given(st.sampled_from([1, 2, 3]), st.integers(1, 6), st.randoms(use_true_random=False))
def test_coding_is_lossless(kind: int, count: int, dice: object) -> None:
    seed = int(dice.random() * 2**32)  # type: ignore[attr-defined]
    nodes = KINDS[kind].nodes
    drawn = np.random.default_rng(seed).integers(-LIMIT, LIMIT + 1, (count, 2, nodes, nodes)).astype(np.int16)
    back = get_deformations(RangeDecoder(coded(list(drawn))), count)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, back, strict=True) if b is not None)
    assert None not in {kind if b is not None else None for b in back}


@given(st.binary(max_size=300), st.integers(1, 64))
def test_any_bytes_decode_or_raise(data: bytes, count: int) -> None:
    try:
        frames = get_deformations(RangeDecoder(data), count)
    except PacketError:
        return
    assert len(frames) == count
    assert all(frame is None or np.abs(frame).max() <= LIMIT for frame in frames)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_what_changes_take_is_what_the_coder_begins_with(kind: int) -> None:
    nodes = KINDS[kind].nodes
    drawn = np.random.default_rng(1).integers(-2, 3, (6, 2, nodes, nodes)) // 2
    frames, walk = np.cumsum(drawn, 0), _Walk(nodes)
    bits = change_bits(np.diff(frames, axis=0)).reshape(5, -1, 2 * ESCAPE + 1)
    for at, frame in enumerate(frames):
        for place, value in enumerate(frame.reshape(-1).tolist()):
            expected, sizes, signs, way = walk.next()
            difference = value - expected
            for change in (difference, -difference, 3) if at else ():
                took = np.log2(sum(sizes._counts) / sizes._counts[abs(change)])
                took += np.log2(sum(signs._counts) / signs._counts[int(change * way < 0)]) if change else 0.0
                assert bits[at - 1, place, change + ESCAPE] == pytest.approx(took)
            walk.learn(value, difference)
        walk.end_frame()


def test_none_costs_a_quarter_of_a_byte() -> None:
    points = [np.zeros((10, 2), np.int16)] * 4
    assert decode_frames(encode_frames(points), 4)[1] == [None] * 4


def test_smooth_ones_cost_little() -> None:
    frames = wave(2, 24)
    assert len(coded(frames)) < 24 * 2 * 36 / 8 * 2  # two bits a value
    dice = np.random.default_rng(3)
    rough = [dice.permutation(frame.reshape(-1)).reshape(frame.shape) for frame in frames]
    assert len(coded(frames)) < 0.6 * len(coded(rough))


def test_still_ones_cost_next_to_nothing() -> None:
    frames = [wave(2, 1)[0]] * 24
    assert len(coded(frames)) - len(coded(frames[:1])) < 24 * 3


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_wildest_bundle_fits_a_packet(kind: int) -> None:
    count = min(64, most_frames(kind))
    nodes = KINDS[kind].nodes
    wild = [np.full((2, nodes, nodes), LIMIT * (-1) ** at, np.int16) for at in range(count)]
    points = [np.full((10, 2), GRID_LIMIT * (-1) ** at, np.int16) for at in range(count)]
    assert len(encode_frames(points, 0, wild)) < MAX_PACKET_BYTES - 64 * 4


def test_what_cannot_be_coded_is_our_own_error() -> None:
    ours = wave(2, 2)
    with pytest.raises(ValueError, match="several kinds"):
        coded([ours[0], wave(1, 1)[0]])
    with pytest.raises(ValueError, match="limit"):
        coded([ours[0] + LIMIT])
    with pytest.raises(ValueError, match="allowed are"):
        coded(wave(3, most_frames(3) + 1))
    with pytest.raises(ValueError, match="no known kind"):
        kind_of(np.zeros((2, 5, 5), np.int16))


def test_more_frames_than_one_code_may_hold_are_refused() -> None:
    code = coded(wave(3, 1))
    with pytest.raises(PacketError, match="more deformations"):
        get_deformations(RangeDecoder(code), most_frames(3) + 1)
