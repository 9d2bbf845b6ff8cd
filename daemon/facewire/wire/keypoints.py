"""Keypoints: from float positions to an integer grid, and a bundle's grid points to a few bytes.

The grid's unit is `step` pixels of a 256-pixel crop (128 pixels are 1.0). What is coded is relative to the epoch's
reference points, so a bundle's first frame costs little although it leans on no other bundle: a lost bundle costs
only itself. Every later frame is the difference to the frame before it in the same bundle. The grid is coded without
loss, so sender and receiver hold the same points and nothing drifts.

A head moves as a whole, so each difference is predicted from those of the points before it in the same frame, and what
is left goes through an arithmetic coder (see wire.rangecoder) whose table follows how large such rests were lately, in
this frame and at this coordinate. All state starts anew with each bundle; all arithmetic is on integers, so every
machine reads the same points. Against adaptive Golomb-Rice coding of plain differences this saves a tenth to a fifth
of the bytes (results/keypoint_codec.json).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from facewire.errors import PacketError
from facewire.types import KEYPOINTS, GridPoints, Points
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder, get_difference, put_difference, size_class

REACH = 1.25
"""Points are clipped to [-REACH, REACH]: a chin may leave the crop a little."""
GRID_LIMIT = 8191
"""Largest coordinate that the code can carry, in steps; the finest step needs 2 * 1.25 * 128 * 16 = 5120."""

_VALUES = 2 * KEYPOINTS


def to_grid(points: Points, step: float, reference: GridPoints | None = None) -> GridPoints:
    """Nearest grid points, relative to `reference`. points float [10, 2]; step in pixels of 256, 1/16 or more.

    Points outside [-1.25, 1.25] are clipped, NaN counts as 0.
    """
    clean = np.clip(np.nan_to_num(np.asarray(points, np.float64)), -REACH, REACH)
    grid = np.rint(clean * (128.0 / step)).astype(np.int16)
    return grid if reference is None else np.subtract(grid, reference, dtype=np.int16)


def from_grid(grid: GridPoints, step: float, reference: GridPoints | None = None) -> Points:
    """Inverse of to_grid: float32 [10, 2] in [-1.25, 1.25] whatever the grid holds."""
    absolute = grid.astype(np.int32)
    if reference is not None:
        absolute = absolute + reference
    return np.clip(absolute * (step / 128.0), -REACH, REACH).astype(np.float32)


_FIRST, _NEXT, _STILL = 100, 24, 32
"""Expected rests in sixteenths of a step before anything is known: in a bundle's first frame, in the others, at one
coordinate. Fitted to traces like the tables."""


class _Model:
    """What both ends know before each value: its prediction, and the class of size of what the prediction misses."""

    def __init__(self) -> None:
        self._before = [0] * _VALUES
        self._recent = _FIRST
        self._here = [_STILL] * _VALUES
        self._frames = 0
        self._start()

    def _start(self) -> None:
        self.values: list[int] = []
        """The values of the running frame so far."""
        self._sum = [0, 0]
        self._last = [0, 0]

    def next(self) -> tuple[int, int]:
        """Prediction and class of the next value."""
        at = len(self.values)
        axis, points = at & 1, at >> 1
        # Mean of the points before, the last one counted twice; drawn towards no motion while they are few.
        weight = 2 * points + (3 if points else 1)
        twice = 2 * (self._sum[axis] + self._last[axis])
        difference = (2 * twice + weight) // (2 * weight)
        predicted = min(max(self._before[at] + difference, -GRID_LIMIT), GRID_LIMIT)
        expected = (2 * self._recent + self._here[at] + 1) // 3 if self._frames else self._recent
        return predicted, size_class(expected)

    def learn(self, value: int, rest: int) -> None:
        """Take the next value and what its prediction missed."""
        at = len(self.values)
        axis = at & 1
        self._recent += (16 * abs(rest) - self._recent) >> 2
        if self._frames:
            self._here[at] += (16 * abs(rest) - self._here[at]) >> 1
        self._last[axis] = value - self._before[at]
        self._sum[axis] += self._last[axis]
        self.values.append(value)

    def end_frame(self) -> None:
        self._before = self.values
        self._frames += 1
        if self._frames == 1:
            self._recent = _NEXT
        self._start()


def encode_frames(frames: Sequence[GridPoints], seed: int = 0) -> bytes:
    """Code a bundle's points (each int16 [10, 2]); raises ValueError if one lies beyond GRID_LIMIT.

    seed: CRC-32 of what belongs to the points (the bundle's header); it enters the check at the end of the code.
    """
    out = RangeEncoder()
    model = _Model()
    for frame in frames:
        values = [int(value) for value in frame.reshape(-1)]
        if len(values) != _VALUES or max(values) > GRID_LIMIT or min(values) < -GRID_LIMIT:
            raise ValueError("keypoints beyond the grid's limit")
        for value in values:
            predicted, kind = model.next()
            put_difference(out, kind, value - predicted)
            model.learn(value, value - predicted)
        model.end_frame()
    out.put_plain(_check(frames, seed), 8)
    return out.bytes()


def decode_frames(data: bytes, count: int, seed: int = 0) -> list[GridPoints]:
    """The `count` frames that encode_frames coded; raises PacketError if `data` is anything else.

    Any bytes are some message to an arithmetic decoder. So the code ends with an 8-bit check, which would also notice
    two machines that do not compute alike, and what was read is coded again and must give the same bytes.
    """
    source = RangeDecoder(data)
    model = _Model()
    frames: list[GridPoints] = []
    for _ in range(count):
        for _ in range(_VALUES):
            predicted, kind = model.next()
            rest = get_difference(source, kind)
            if abs(predicted + rest) > GRID_LIMIT:
                raise PacketError("keypoints in packet beyond the grid's limit")
            model.learn(predicted + rest, rest)
        frames.append(np.array(model.values, np.int16).reshape(KEYPOINTS, 2))
        model.end_frame()
    if source.get_plain(8) != _check(frames, seed) or encode_frames(frames, seed) != data:
        raise PacketError("keypoints in packet damaged")
    return frames


def _check(frames: Sequence[GridPoints], seed: int) -> int:
    for frame in frames:
        seed = zlib.crc32(frame.astype("<i2").tobytes(), seed)
    return seed & 0xFF
