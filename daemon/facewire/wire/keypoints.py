"""Keypoints: from float positions to an integer grid, and a bundle's grid points to a few bytes.

The grid's unit is `step` pixels of a 256-pixel crop (128 pixels are 1.0). What is coded is relative to the epoch's
reference points, so a bundle's first frame costs little although it leans on no other bundle: a lost bundle costs
only itself. Every later frame is the difference to the frame before it in the same bundle. The grid is coded without
loss, so sender and receiver hold the same points and nothing drifts.

    code    check u16: low half of the CRC-32 of the rest, begun with that of what belongs to it
            | one arithmetic code (wire.rangecoder): for each frame, for each value (x of point 0, y of point 0, x of
            point 1, ...), what its prediction (wire.prediction) missed; then the deformations (wire.deformation), shut
            eyes (wire.lids), mouths (wire.mouth), and what is said of interpolated frames (wire.between)

Step 0 stands for no grid: the points travel as floats, 8 bytes a point as in the paper, for comparison.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facewire.errors import PacketError
from facewire.types import KEYPOINTS, Between, GridDeformation, GridPoints, Points
from facewire.wire.between import get_between, put_between
from facewire.wire.deformation import get_deformations, put_deformations
from facewire.wire.lids import get_lids, put_lids
from facewire.wire.mouth import get_mouths, put_mouths
from facewire.wire.prediction import GRID_LIMIT, VALUES, Predictor
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder, get_difference, put_difference

REACH = 1.25
"""Points are clipped to [-REACH, REACH]: a chin may leave the crop a little."""
CHECK_BYTES = 2
"""A short bundle is mostly code: random bytes must hardly ever pass for one, and cost no time."""
RAW_FRAME_BYTES = 4 * VALUES
"""What one frame takes without grid and coder."""


def in_steps(points: Points, step: float, reference: GridPoints | None = None) -> NDArray[np.float64]:
    """Points float [10, 2] in grid steps, not rounded, relative to `reference`; step in pixels of 256, 1/16 or more.

    Points outside [-1.25, 1.25] are clipped, NaN counts as 0.
    """
    exact = np.clip(np.nan_to_num(np.asarray(points, np.float64)), -REACH, REACH) * (128.0 / step)
    return exact if reference is None else exact - reference


def to_grid(points: Points, step: float, reference: GridPoints | None = None) -> GridPoints:
    """Nearest grid points; arguments as for in_steps."""
    grid = np.rint(in_steps(points, step)).astype(np.int16)
    return grid if reference is None else np.subtract(grid, reference, dtype=np.int16)


def from_grid(grid: GridPoints | Points, step: float, reference: GridPoints | None = None) -> Points:
    """Inverse of to_grid: float32 [10, 2] in [-1.25, 1.25] whatever the grid holds. step 0: `grid` holds raw points."""
    if step == 0:
        return np.clip(np.nan_to_num(np.asarray(grid, np.float32)), -REACH, REACH)
    absolute = np.nan_to_num(grid).astype(np.int32)
    if reference is not None:
        absolute = absolute + reference
    return np.clip(absolute * (step / 128.0), -REACH, REACH).astype(np.float32)


def encode_frames(
    frames: Sequence[GridPoints],
    seed: int = 0,
    deformations: Sequence[GridDeformation | None] = (),
    shut: Sequence[bool] = (),
    mouths: Sequence[int] = (),
    between: Sequence[Sequence[Between]] = (),
) -> bytes:
    """Code points (each int16 [10, 2]); raises ValueError if one lies beyond GRID_LIMIT.

    seed: CRC-32 of what belongs to the points (the bundle's header); it enters the check.
    deformations: one for each frame, or none at all; put_deformations says what else is refused. shut: which frames
    have shut eyes; mouths: their amounts, LIMIT of wire.mouth at most; between: what is said of the frames that are
    interpolated before each, see put_between; empty: none.
    """
    out = RangeEncoder()
    predictor = Predictor()
    for frame in frames:
        values = [int(value) for value in frame.reshape(-1)]
        if len(values) != VALUES or max(values) > GRID_LIMIT or min(values) < -GRID_LIMIT:
            raise ValueError("keypoints beyond the grid's limit")
        for value in values:
            predicted, kind = predictor.next()
            put_difference(out, kind, value - predicted)
            predictor.learn(value, value - predicted)
        predictor.end_frame()
    put_deformations(out, deformations)
    put_lids(out, shut)
    put_mouths(out, mouths)
    put_between(out, between, shut or [False] * len(frames))
    return _checked(out.bytes(), seed)


def decode_frames(
    data: bytes, count: int, seed: int = 0
) -> tuple[list[GridPoints], list[GridDeformation | None], list[bool], list[int], list[tuple[Between, ...]]]:
    """The `count` frames that encode_frames coded, their deformations, whose eyes are shut, their mouths, and what is
    said of the frames between; raises PacketError if `data` is else.

    Any bytes are some message to an arithmetic decoder. So the code begins with a check, and what was read is coded
    again and must give the same bytes.
    """
    if not _is_intact(data, seed):
        raise PacketError("keypoints in packet damaged")
    source = RangeDecoder(data[CHECK_BYTES:])
    predictor = Predictor()
    frames: list[GridPoints] = []
    for _ in range(count):
        for _ in range(VALUES):
            predicted, kind = predictor.next()
            miss = get_difference(source, kind)
            if abs(predicted + miss) > GRID_LIMIT:
                raise PacketError("keypoints in packet beyond the grid's limit")
            predictor.learn(predicted + miss, miss)
        frames.append(np.array(predictor.values, np.int16).reshape(KEYPOINTS, 2))
        predictor.end_frame()
    deformations = get_deformations(source, count)
    shut = get_lids(source, count)
    mouths = get_mouths(source, count)
    between = get_between(source, shut)
    if encode_frames(frames, seed, deformations, shut, mouths, between) != data:
        raise PacketError("keypoints in packet are coded in another way than ours")
    return frames, deformations, shut, mouths, between


def encode_raw(frames: Sequence[Points], seed: int = 0) -> bytes:
    """The same check, and points as big-endian floats."""
    return _checked(b"".join(np.asarray(frame, ">f4").tobytes() for frame in frames), seed)


def decode_raw(data: bytes, count: int, seed: int = 0) -> list[Points]:
    """Inverse of encode_raw; raises PacketError."""
    if len(data) != CHECK_BYTES + count * RAW_FRAME_BYTES or not _is_intact(data, seed):
        raise PacketError("raw keypoints in packet damaged")
    values = np.frombuffer(data[CHECK_BYTES:], ">f4").astype(np.float32)
    if not np.isfinite(values).all():
        raise PacketError("raw keypoints in packet are no numbers")
    return list(values.reshape(count, KEYPOINTS, 2))


def _is_intact(code: bytes, seed: int) -> bool:
    """Whether a code's check agrees with it and with what belongs to it."""
    return len(code) >= CHECK_BYTES and _checked(code[CHECK_BYTES:], seed)[:CHECK_BYTES] == code[:CHECK_BYTES]


def _checked(body: bytes, seed: int) -> bytes:
    return (zlib.crc32(body, seed) & 0xFFFF).to_bytes(CHECK_BYTES, "big") + body
