"""Pivots on the wire: coded as AV1 stills to fit a number of bytes, cut into slices, put together again, kept on disk.

A pivot is named by its content id, so a receiver that holds it already needs no byte of it, and one that was put
together wrongly is noticed.
"""

from __future__ import annotations

import io
import math

import numpy as np

from facewire.errors import PacketError
from facewire.types import Picture
from facewire.wire import avif
from facewire.wire.packets import MAX_CODED_SIZE, MAX_PIVOT_BYTES, MIN_CODED_SIZE
from facewire.wire.pivot_store import PivotAssembler, PivotCache, content_id, slices

__all__ = ["PivotAssembler", "PivotCache", "content_id", "decode_pivot", "encode_pivot", "slices"]

SPEED = 8
"""libaom's speed: 6 saves 10 % of the bytes for twice the time."""
ATTEMPTS = 4
"""Encodes spent on finding the quality: 35 ms each at 256x256 on one x86 core."""
CLOSE_ENOUGH = 0.93
"""A pivot that fills this part of its allowance is good enough to stop looking."""


def encode_pivot(picture: Picture, max_bytes: int) -> bytes:
    """The best AV1 still of `picture` (square, side 64 to 1024) that the search finds in at most `max_bytes` bytes.

    Bytes grow nearly exponentially with the quality number (0 to 100), so a secant on their logarithm needs few attempts.
    A picture that does not fit even at the lowest quality is blurred until it does. Raises ValueError if `max_bytes` is
    too small for any picture.
    """
    height, width = picture.shape[:2]
    if height != width or not MIN_CODED_SIZE <= width <= MAX_CODED_SIZE:
        raise ValueError(f"pivot of {width}x{height}: allowed are squares of {MIN_CODED_SIZE} to {MAX_CODED_SIZE}")
    best = _search(picture, min(max_bytes, MAX_PIVOT_BYTES))
    sigma = 1.0
    while best is None and sigma < 64:
        blurred = _blur(picture, sigma)
        coded = _encode(blurred, 0)
        best = coded if len(coded) <= max_bytes else None
        sigma *= 2
    if best is None:
        raise ValueError(f"no pivot fits into {max_bytes} bytes")
    return best


def _search(picture: Picture, max_bytes: int) -> bytes | None:
    best: bytes | None = None
    low, high = -1, 101  # qualities known to fit, known not to
    known: list[tuple[int, float]] = []
    quality = _first_guess(max_bytes, picture.shape[0])
    for _ in range(ATTEMPTS):
        coded = _encode(picture, quality)
        known.append((quality, math.log(len(coded))))
        if len(coded) <= max_bytes:
            low = quality
            if best is None or len(coded) > len(best):
                best = coded
            if len(coded) >= CLOSE_ENOUGH * max_bytes:
                break
        else:
            high = quality
        if high - low <= 1:
            break
        quality = min(max(_secant(known, math.log(0.97 * max_bytes)), low + 1), high - 1)
    if best is None and low < 0 < high:
        coded = _encode(picture, 0)
        best = coded if len(coded) <= max_bytes else None
    return best


_SLOPE = 0.040
"""Growth of log(bytes) per quality step, typical for portraits around 2 to 12 kB."""


def _first_guess(max_bytes: int, side: int) -> int:
    """Typical portraits at 256x256: see tests; larger ones need about side^1.3 times the bytes."""
    scaled = max_bytes / (side / 256) ** 1.3
    return min(max(round(40 + (math.log(scaled) - math.log(3000)) / _SLOPE), 1), 95)


def _secant(known: list[tuple[int, float]], target: float) -> int:
    quality, size = known[-1]
    slope = _SLOPE
    if len(known) > 1:
        before, size_before = known[-2]
        if quality != before:
            slope = min(max((size - size_before) / (quality - before), _SLOPE / 3), _SLOPE * 3)
    return math.floor(quality + (target - size) / slope)


def _encode(picture: Picture, quality: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "AVIF", quality=quality, speed=SPEED, subsampling="4:2:0", max_threads=1)
    return avif.unwrap(out.getvalue())


def _blur(picture: Picture, sigma: float) -> Picture:
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)), np.uint8)


def decode_pivot(data: bytes) -> Picture:
    """The picture in a coded pivot, uint8 [side, side, 3]; raises PacketError if it is none or has a size not allowed.

    What the stream declares is read before any pixel is decoded.
    """
    from PIL import Image

    if len(data) > MAX_PIVOT_BYTES:
        raise PacketError(f"pivot of {len(data)} bytes: allowed are {MAX_PIVOT_BYTES}")
    width, height = avif.declared_size(data)
    if width != height or not MIN_CODED_SIZE <= width <= MAX_CODED_SIZE:
        raise PacketError(f"pivot declares {width}x{height} pixels")
    file = avif.wrap(data)
    try:
        with Image.open(io.BytesIO(file), formats=["AVIF"]) as image:
            picture = np.array(image.convert("RGB"), np.uint8)
    except Exception as error:  # Pillow raises OSError, ValueError, SyntaxError and others on damaged files
        raise PacketError(f"pivot cannot be decoded: {error}") from None
    if picture.shape != (height, width, 3):
        raise PacketError("pivot decodes to another size than it declares")
    return picture
