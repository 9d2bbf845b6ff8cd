"""Eyes on the wire. No displacement shuts an open eye: a lid that is not seen is not in the pivot. So a coded pivot may
carry a second, small picture that shows the same eyes shut, and each frame says which of the two it is made from.

    in a coded pivot   (wire.extras) left u8 | top u8 | AV1 still, 8 to 128 pixels a side
                       It takes the place of what lies there in the first picture; left and top in 1/256 of its side.
                       Towards the edge, over EDGE pixels, it fades out.

    in a bundle   after the deformations in the arithmetic code: a plain bit, 0 where no frame has shut eyes; after 1
                  for each frame a symbol, 1 for shut, by one of two models (wire.adaptive): number 1 where the frame
                  before in the same code has shut eyes, else 0

A receiver whose pivot has no second picture shows the first one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facewire.errors import PacketError
from facewire.types import Picture
from facewire.wire import avif
from facewire.wire.adaptive import Model
from facewire.wire.rangecoder import RangeDecoder, RangeEncoder

LEAST, MOST = 8, 128
"""Sides of the second picture, pixels."""
EDGE = 5
"""Pixels over which it fades out."""
_COUNTS = (60, 4), (8, 24)
"""How the models begin: after open eyes, after shut ones."""


def put_lids(out: RangeEncoder, shut: Sequence[bool]) -> None:
    """Code which frames of a bundle have shut eyes."""
    out.put_plain(int(any(shut)), 1)
    if not any(shut):
        return
    models, before = [Model(counts) for counts in _COUNTS], False
    for now in shut:
        models[before].put(out, int(now))
        before = now


def get_lids(source: RangeDecoder, count: int) -> list[bool]:
    """Inverse of put_lids."""
    if not source.get_plain(1):
        return [False] * count
    models, before, shut = [Model(counts) for counts in _COUNTS], False, []
    for _ in range(count):
        before = bool(models[before].get(source))
        shut.append(before)
    return shut


def place(still: bytes, lids: bytes) -> tuple[int, int, bytes]:
    """Left, top (pixels of the first picture) and AV1 still of the shut eyes, `lids` as extras.split gave them; raises
    PacketError if they are not within bounds."""
    if len(lids) < 3:
        raise PacketError("pivot has a second picture that is none")
    try:
        return check(still, lids[0], lids[1], lids[2:])
    except ValueError as error:
        raise PacketError(str(error)) from None


def check(still: bytes, left: int, top: int, patch: bytes) -> tuple[int, int, bytes]:
    """The same of their parts; raises ValueError. Left, top: 1/256 of the first picture's side."""
    side, _ = avif.declared_size(still)
    width, height = avif.declared_size(patch)
    x, y = left * side // 256, top * side // 256
    if not (LEAST <= width <= MOST and LEAST <= height <= MOST and x + width <= side and y + height <= side):
        raise ValueError(f"second picture of {width}x{height} at {x}, {y} does not lie in a pivot of {side} pixels")
    return x, y, patch


def laid_over(picture: Picture, left: int, top: int, patch: Picture) -> Picture:
    """The picture [side, side, 3] with a smaller one in it, which fades out towards its edge."""
    height, width = patch.shape[:2]
    fades = [np.minimum(1.0, (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) / EDGE) for n in (height, width)]
    share = np.minimum(fades[0][:, None], fades[1][None, :])[..., None]
    out = picture.copy()
    there = out[top : top + height, left : left + width]
    there[:] = np.rint(there * (1 - share) + patch * share)
    return out
