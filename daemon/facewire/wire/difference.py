"""What a finer pivot says beyond a coarse one, on the wire: the difference of the two pictures, coded as a picture.

    in a coded pivot   (wire.extras) gain u8, 1 to MOST_GAIN | AV1 still of the same size, or of twice that

A value d of it, 0 to 255, adds floor((2 (d - 128) + gain) / (2 gain)) to the pivot's, within 0 to 255. The gain is
there because a coder's error is small, and a still coder takes small things for nothing. Where the still is twice as
large, it adds to the enlarged pivot: so the finer picture has what the networks' size has no room for.
"""

from __future__ import annotations

import numpy as np

from facewire.errors import PacketError
from facewire.types import Picture
from facewire.wire import avif
from facewire.wire.packets import MAX_CODED_SIZE

MIDDLE = 128
MOST_GAIN = 16


def of(coarse: Picture, fine: Picture, gain: int) -> Picture:
    """The difference that leads from one picture [side, side, 3] to another, as it is coded."""
    apart = fine.astype(np.int32) - coarse
    return np.clip(gain * apart + MIDDLE, 0, 255).astype(np.uint8)


def added(coarse: Picture, difference: Picture, gain: int) -> Picture:
    """What comes of both, uint8 [side, side, 3]."""
    apart = (2 * (difference.astype(np.int32) - MIDDLE) + gain) // (2 * gain)
    return np.clip(coarse + apart, 0, 255).astype(np.uint8)


def enlarged(picture: Picture, side: int) -> Picture:
    """The picture [h, w, 3] so large that it is `side` high, itself where it is; bicubic, as Pillow does it."""
    height, width = picture.shape[:2]
    if height == side:
        return picture
    from PIL import Image

    size = width * side // height, side
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC), np.uint8)


def halved(picture: Picture) -> Picture:
    """The picture at half its side: means of 2x2 pixels, halves rounded up."""
    parts = picture.astype(np.uint16)
    total = parts[::2, ::2] + parts[1::2, ::2] + parts[::2, 1::2] + parts[1::2, 1::2]
    return np.asarray((total + 2) // 4, np.uint8)


def parse(still: bytes, coded: bytes) -> tuple[int, bytes]:
    """Gain and AV1 still of a difference, `coded` as extras.split gave it; raises PacketError if it does not belong to
    the pivot's own still. No pixel is decoded."""
    gain, stream = coded[0], coded[1:]
    side, declared = avif.declared_size(still)[0], avif.declared_size(stream)
    fits = declared in ((side, side), (2 * side, 2 * side)) and declared[0] <= MAX_CODED_SIZE
    if not 1 <= gain <= MOST_GAIN or not fits:
        raise PacketError("pivot with a difference that does not belong to it")
    return gain, stream
