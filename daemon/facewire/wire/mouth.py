"""The mouth on the wire. Ten points and a coarse grid do not say how far lips are apart, and a face whose lips do not
follow its voice looks dubbed. So a coded pivot says where its mouth is, and each frame by how much what lies above and
below the line between its lips comes apart, or together.

    in a coded pivot   5 bytes (wire.extras): x and y of the mouth's corner on the left, of that on the right (u8 each,
                       1/256 of the pivot's side), and how far below the line between them the lips meet (i8, halves)

    in a bundle        after the shut eyes in the arithmetic code: a plain bit, 0 where all amounts are 0; after 1 for
                       each frame the change of its amount since the frame before (in the first: since 0): a size by one
                       of two models (wire.adaptive), number 0 in the first frame, else 1, from ESCAPE on the rest of it
                       in 5 plain bits; unless that is 0, a sign: where the amount before is not 0 a symbol of model 1,
                       1 for further from 0, else one of model 0, 1 for less

A stretch by an amount a (pixels of 256) adds to the displacement of a place that is taken from s in the pivot

    a n tanh(k v) exp(-u u - v v / 2),    u = (s - m) . l / (w / 2),    v = (s - m) . n / (0.4 w)

with l along and n across the mouth (downwards), w its width, m where the lips meet in its middle. Where a is positive,
what is shown is taken from further away: the lips come together, and k is 6, for between lips that are shut is no room.
Where it is negative they come apart, k is 1.5, and a is not below -0.24 w, or places would change their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.errors import PacketError
from facewire.wire.adaptive import Model
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder

PLACE_BYTES = 5
LIMIT = 12
"""Largest amount."""
LEAST_WIDTH = 8
"""Of a mouth, in pixels of 256."""
HEIGHT = 0.4
"""How far a stretch reaches across, in widths of the mouth."""
SHUTTING, OPENING = 6.0, 1.5
"""How suddenly its two sides change over."""
_ORDER = 0.9
"""How near places may come to changing their order."""

ESCAPE, _ESCAPE_BITS = 8, 5
_FIRST, _SIZES = (24, 24, 14, 8, 5, 3, 2, 2, 2), (70, 40, 12, 5, 3, 2, 1, 1, 1)
"""How the models of sizes begin."""
_SIGNS = (16, 16), (24, 12)


@dataclass(frozen=True)
class Place:
    """Where a pivot's mouth is: its corners x, y in pixels of 256, and half pixels below their line to where the lips
    meet. Raises ValueError where that is no place of a mouth."""

    left: tuple[int, int]
    right: tuple[int, int]
    below: int = 0

    def __post_init__(self) -> None:
        inside = all(0 <= value < 256 for value in (*self.left, *self.right)) and -128 <= self.below < 128
        if not inside or self.width < LEAST_WIDTH:
            raise ValueError(f"no mouth lies between {self.left} and {self.right}")

    @property
    def width(self) -> float:
        """Pixels of 256 from corner to corner."""
        return float(np.hypot(self.right[0] - self.left[0], self.right[1] - self.left[1]))

    def frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Where the lips meet (half crops), and unit vectors along and across the mouth."""
        left, right = np.array(self.left, np.float64), np.array(self.right, np.float64)
        along = (right - left) / self.width
        across = np.array([-along[1], along[0]])
        return ((left + right) / 2 + across * self.below / 2) / 128 - 1, along, across

    def bytes(self) -> bytes:
        """As it stands in a coded pivot."""
        return bytes([*self.left, *self.right, self.below & 0xFF])


def parse_place(data: bytes) -> Place:
    """Inverse of Place.bytes; raises PacketError."""
    if len(data) != PLACE_BYTES:
        raise PacketError("pivot with a mouth that is cut off")
    try:
        return Place((data[0], data[1]), (data[2], data[3]), (data[4] ^ 0x80) - 0x80)
    except ValueError as error:
        raise PacketError(str(error)) from None


def stretch(place: Place | None, amount: int) -> NDArray[np.float32]:
    """The generator's input, float32 [1, 9]: m, l / (w / 2), n / (0.4 w) and a n, each x, y in half crops, and k; zeros
    where there is no mouth, or nothing to do."""
    if place is None or not amount:
        return _NONE
    middle, along, across = place.frame()
    width = place.width / 128
    steep = SHUTTING if amount > 0 else OPENING
    size = max(amount / 128, -_ORDER * HEIGHT * width / OPENING)
    parts = (middle, along / (width / 2), across / (HEIGHT * width), across * size, (steep,))
    return np.concatenate(parts).astype(np.float32)[np.newaxis]


_NONE = np.zeros((1, 9), np.float32)
_NONE.setflags(write=False)  # a GPU's session uploads it once


def felt(places: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a stretch (`stretch`, one row of it) that is felt at places [n, 2], half crops: float64 [n]."""
    away = places - parts[0:2]
    u, v = away @ parts[2:4], away @ parts[4:6]
    return np.asarray(np.tanh(parts[8] * v) * np.exp(-u * u - v * v / 2))


def stretched(displacement: NDArray[np.float32], parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """A displacement float32 [2, n, n], half crops, with lips stretched, as a receiver's networks have it. parts: see
    `stretch`."""
    if not parts.any():
        return displacement
    side = displacement.shape[-1]
    rows, columns = (np.mgrid[0:side, 0:side].astype(np.float32) + 0.5) * (2 / side) - 1
    away = np.stack([columns, rows], -1) + displacement.transpose(1, 2, 0)
    share = felt(away.reshape(-1, 2).astype(np.float64), parts[0].astype(np.float64)).reshape(side, side)
    return np.asarray(displacement + parts[0, 6:8, np.newaxis, np.newaxis] * share, np.float32)


class _Walk:
    """The models that both ends keep."""

    def __init__(self) -> None:
        self._sizes = [Model(_FIRST), Model(_SIZES)]
        self._signs = [Model(counts) for counts in _SIGNS]
        self._begun = False

    @property
    def sizes(self) -> Model:
        """That of the next frame."""
        begun, self._begun = self._begun, True
        return self._sizes[begun]

    def signs(self, before: int) -> tuple[Model, int]:
        """That of a change from this amount, and which way its 0 is."""
        return self._signs[bool(before)], -1 if before > 0 else 1


def put_mouths(out: RangeEncoder, amounts: Sequence[int]) -> None:
    """Code a bundle's amounts; raises ValueError if one is beyond LIMIT."""
    if any(abs(amount) > LIMIT for amount in amounts):
        raise ValueError("mouth beyond its limit")
    out.put_plain(int(any(amounts)), 1)
    if not any(amounts):
        return
    walk, before = _Walk(), 0
    for amount in amounts:
        change = amount - before
        size = abs(change)
        put_size(out, walk.sizes, size)
        if size:
            signs, way = walk.signs(before)
            signs.put(out, int(change * way < 0))
        before = amount


def get_mouths(source: RangeDecoder, count: int) -> list[int]:
    """Inverse of put_mouths; raises PacketError."""
    if not source.get_plain(1):
        return [0] * count
    walk, before, amounts = _Walk(), 0, []
    for _ in range(count):
        size = get_size(source, walk.sizes)
        if size:
            signs, way = walk.signs(before)
            before += -way * size if signs.get(source) else way * size
        if abs(before) > LIMIT:
            raise PacketError("mouth in packet beyond its limit")
        amounts.append(before)
    return amounts


def put_size(out: RangeEncoder, sizes: Model, size: int) -> None:
    """A number of pixels, by a model of ESCAPE + 1 symbols."""
    sizes.put(out, min(size, ESCAPE))
    if size >= ESCAPE:
        out.put_plain(size - ESCAPE, _ESCAPE_BITS)


def get_size(source: RangeDecoder, sizes: Model) -> int:
    """The counterpart of put_size."""
    size = sizes.get(source)
    return size + source.get_plain(_ESCAPE_BITS) if size == ESCAPE else size
