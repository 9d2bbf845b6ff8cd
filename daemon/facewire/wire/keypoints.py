"""Keypoints: from float positions to an integer grid, and a bundle's grid points to a few bytes.

The grid's unit is `step` pixels of a 256-pixel crop (128 pixels are 1.0). What is coded is relative to the epoch's
reference points, so a bundle's first frame costs little although it leans on no other bundle: a lost bundle costs
only itself. Every later frame is the difference to the frame before it in the same bundle. The grid is coded without
loss, so sender and receiver hold the same points and nothing drifts.

Differences go through an adaptive Golomb-Rice code (as in LOCO-I / JPEG-LS, ITU-T T.87, A.5): zigzag to
u = 0, 1, 2, ... for 0, -1, +1, ...; then u >> k in unary and the k low bits, where k follows the running mean.
All state starts anew with each bundle; all arithmetic is on integers, so every machine reads the same points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facewire.errors import PacketError
from facewire.types import KEYPOINTS, GridPoints, Points
from facewire.wire.bits import BitReader, BitWriter

REACH = 1.25
"""Points are clipped to [-REACH, REACH]: a chin may leave the crop a little."""
GRID_LIMIT = 8191
"""Largest coordinate that the code can carry, in steps; the finest step needs 2 * 1.25 * 128 * 16 = 5120."""

_ESCAPE = 20
"""This many ones say: the value follows in plain bits. Bounds the length of a code word."""
_PLAIN = 15
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


class _Rice:
    """One adaptive Golomb-Rice context: remembers how large its values were lately."""

    def __init__(self, mean: int) -> None:
        self._sum = 8 * mean
        self._count = 8

    def parameter(self) -> int:
        k = 0
        while (self._count << k) < self._sum:
            k += 1
        return k

    def learn(self, value: int) -> None:
        self._sum += value
        self._count += 1
        if self._count >= 64:
            self._sum >>= 1
            self._count >>= 1

    def put(self, out: BitWriter, value: int) -> None:
        k = self.parameter()
        high = value >> k
        if high < _ESCAPE:
            out.put((1 << (high + 1)) - 2, high + 1)
            out.put(value & ((1 << k) - 1), k)
        else:
            out.put((1 << _ESCAPE) - 1, _ESCAPE)
            out.put(value, _PLAIN)
        self.learn(value)

    def get(self, data: BitReader) -> int:
        k = self.parameter()
        high = data.ones(_ESCAPE)
        value = (high << k) | data.get(k) if high < _ESCAPE else data.get(_PLAIN)
        self.learn(value)
        return value


_FIRST_MEAN = 12
_NEXT_MEAN = 2


def encode_frames(frames: Sequence[GridPoints]) -> bytes:
    """Code a bundle's points (each int16 [10, 2]); raises ValueError if one lies beyond GRID_LIMIT."""
    out = BitWriter()
    before = [0] * _VALUES
    context = _Rice(_FIRST_MEAN)
    for index, frame in enumerate(frames):
        now = [int(value) for value in frame.reshape(-1)]
        if len(now) != _VALUES or max(now) > GRID_LIMIT or min(now) < -GRID_LIMIT:
            raise ValueError("keypoints beyond the grid's limit")
        for value, old in zip(now, before, strict=True):
            difference = value - old
            context.put(out, 2 * difference if difference >= 0 else -2 * difference - 1)
        if index == 0:
            context = _Rice(_NEXT_MEAN)
        before = now
    return out.bytes()


def decode_frames(data: bytes, count: int) -> list[GridPoints]:
    """The `count` frames that encode_frames coded; raises PacketError if `data` is anything else."""
    source = BitReader(data)
    before = [0] * _VALUES
    context = _Rice(_FIRST_MEAN)
    frames: list[GridPoints] = []
    for index in range(count):
        now = []
        for old in before:
            code = context.get(source)
            now.append(old + (code >> 1 if code % 2 == 0 else -((code + 1) >> 1)))
        if max(now) > GRID_LIMIT or min(now) < -GRID_LIMIT:
            raise PacketError("keypoints in packet beyond the grid's limit")
        if index == 0:
            context = _Rice(_NEXT_MEAN)
        frames.append(np.array(now, np.int16).reshape(KEYPOINTS, 2))
        before = now
    source.finish()
    return frames
