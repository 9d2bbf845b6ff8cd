"""Pivots on the wire: coded as AV1 stills to fit a number of bytes, cut into slices, put together again, kept on disk.

A pivot is named by its content id, so a receiver that holds it already needs no byte of it, and one that was put
together wrongly is noticed.

Coders were compared by what the receiver makes of them (results/pivot_codecs.json). At equal bytes AV1 and HEVC stills
are within each other's error, WebP and JPEG XL behind; AV1 by libaom comes with Pillow on every machine that we run on.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import NamedTuple

import numpy as np

from facewire.errors import PacketError
from facewire.types import Picture
from facewire.wire import avif, difference, extras, lids
from facewire.wire.mouth import Place
from facewire.wire.packets import MAX_CODED_SIZE, MAX_PIVOT_BYTES, MIN_CODED_SIZE
from facewire.wire.pivot_store import PivotCache, behind, content_id, slices

__all__ = [
    "Large", "PivotCache", "Shown", "add_difference", "add_lids", "add_mouth", "beginnings", "behind", "coarsest",
    "content_id", "decode_pivot", "decode_whole", "encode_pivot", "slices",
]  # fmt: skip

PROBE_SPEED, FINAL_SPEED, PATIENT_SPEED = 10, 6, 3
"""libaom's speeds: at 256x256 an encode takes 3 ms at 10 and 36 ms at 6 (one x86 core), for 15 % fewer bytes. At 3 it
takes eight times as long, and what is shown has 8 % less LPIPS at equal bytes."""
FULL_ENOUGH, PATIENTLY = (0.93, 0.75, 0.0), (0.98, 0.96, 0.0)
"""A pivot that fills this part of its allowance is not worth another attempt, after the first, second and third one."""
ALL_BUT, HIGHEST_GAIN = 99.9, 6
"""A difference's gain spares all but the largest values, in percent. Gains of 3 to 8 are within 2 % of each other's
LPIPS (docs/training.md)."""
LIDS_QUALITIES = (60, 50, 40, 30, 20)
"""Qualities tried for shut eyes, until they fit."""
_SAVED = ((0, 0.08), (10, 0.10), (20, 0.15), (30, 0.185), (50, 0.195), (70, 0.15), (90, 0.09), (100, 0.06))
"""log(bytes at PROBE_SPEED / bytes at FINAL_SPEED) by quality; mean of 12 portraits, standard deviation 0.03."""
_MARGIN, _MARGIN_LATER = 0.03, 0.01
"""What the slow encode is expected to stay below the allowance, before and after the first attempt."""


def encode_pivot(picture: Picture, max_bytes: int, speed: int = FINAL_SPEED) -> bytes:
    """The best AV1 still of `picture` (square, side 64 to 1024) that the search finds in at most `max_bytes` bytes.

    Quick encodes find the quality by bisection, a slow one or two at that quality save the bytes: under 100 ms in all
    at 256x256 on one x86 core. A picture that does not fit even at the lowest quality is blurred until it does.
    speed: of the slow ones; PATIENT_SPEED where nobody waits. Raises ValueError if `max_bytes` is too small for any
    picture.
    """
    height, width = picture.shape[:2]
    if height != width or not MIN_CODED_SIZE <= width <= MAX_CODED_SIZE:
        raise ValueError(f"pivot of {width}x{height}: allowed are squares of {MIN_CODED_SIZE} to {MAX_CODED_SIZE}")
    allowed = min(max_bytes, MAX_PIVOT_BYTES)
    sigma = 1.0
    while (best := _search(picture, allowed, speed)) is None:
        if sigma > 64:
            raise ValueError(f"no pivot fits into {max_bytes} bytes")
        picture = _blur(picture, sigma)
        sigma *= 2
    return best


def _search(picture: Picture, allowed: int, speed: int) -> bytes | None:
    """The longest encode of those tried that fits, None if none does."""

    @cache
    def probe(quality: int) -> bytes:
        return _encode(picture, quality, PROBE_SPEED)

    def expected(quality: int) -> float:
        """log(bytes) that the slow encode at `quality` will take, as far as is known by now."""
        tried = sorted(wrong)
        off = float(np.interp(quality, tried, [wrong[one] for one in tried])) if tried else 0.0
        return math.log(len(probe(quality))) - _saved(quality) + off

    def highest() -> int:
        """The highest quality (0 to 100) that is expected to fit."""
        low, high = 0, 100
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if expected(middle) <= math.log(allowed) - margin else (low, middle - 1)
        return low

    wrong: dict[int, float] = {}
    margin = _MARGIN
    quality = highest()
    best = probe(quality) if len(probe(quality)) <= allowed else None
    for enough in FULL_ENOUGH if speed >= FINAL_SPEED else PATIENTLY:
        coded = _encode(picture, quality, speed)
        fits = len(coded) <= allowed
        best = coded if fits else best
        if fits and len(coded) >= enough * allowed:
            break
        wrong[quality] = math.log(len(coded)) - math.log(len(probe(quality))) + _saved(quality)
        margin = _MARGIN_LATER
        before, quality = quality, highest()
        if quality == before:
            break
    return best


def _saved(quality: int) -> float:
    qualities, logs = zip(*_SAVED, strict=True)
    return float(np.interp(quality, qualities, logs))


def _encode(picture: Picture, quality: int, speed: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "AVIF", quality=quality, speed=speed, subsampling="4:2:0", max_threads=1)
    return avif.unwrap(out.getvalue())


def _blur(picture: Picture, sigma: float) -> Picture:
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)), np.uint8)


def add_lids(data: bytes, left: int, top: int, patch: Picture, max_bytes: int) -> bytes | None:
    """A coded pivot that has the shut eyes of `patch` [h, w, 3] too (wire.lids), in `max_bytes` bytes more at most;
    None where they do not fit. Raises ValueError if they do not lie in it; left, top: pixels of 256."""
    parts = extras.split(data)
    for quality in LIDS_QUALITIES:
        coded = _encode(patch, quality, PATIENT_SPEED)
        if len(coded) + 3 <= max_bytes:
            lids.check(parts.still, left, top, coded)
            return parts._replace(lids=bytes([left, top]) + coded).bytes()
    return None


def add_mouth(data: bytes, place: Place | None) -> bytes:
    """A coded pivot that says where its mouth is (None: no more)."""
    return extras.split(data)._replace(mouth=place).bytes()


def add_difference(data: bytes, picture: Picture, max_bytes: int, speed: int = FINAL_SPEED) -> bytes:
    """A coded pivot of `picture` that goes on finer behind its coarse one's bytes, in `max_bytes` bytes in all at most,
    shut eyes aside, which stay. `picture` has the coarse one's size or twice that. Raises ValueError like
    encode_pivot."""
    parts = extras.split(data)
    bare = parts.coarse.bytes()
    coarse = difference.enlarged(_still(parts.still), picture.shape[0])
    reach = float(np.percentile(np.abs(picture.astype(np.int32) - coarse), ALL_BUT))
    gain = int(np.clip(difference.MIDDLE / max(reach, 1.0), 1, HIGHEST_GAIN))
    coded = bytes([gain]) + encode_pivot(difference.of(coarse, picture, gain), max_bytes - len(bare) - 2, speed)
    return parts._replace(difference=coded).bytes()


def beginnings(data: bytes) -> list[tuple[bytes, int]]:
    """The pivots with whose bytes this one begins, the longest first: without shut eyes, and without what is finer.
    Content id and length of each; none where it has neither. Raises PacketError."""
    parts = extras.split(data)
    shorter = (parts._replace(lids=b"").bytes(), parts.coarse.bytes())
    lengths = sorted({len(one) for one in shorter} - {len(data)}, reverse=True)
    return [(content_id(data[:length]), length) for length in lengths]


def coarsest(data: bytes) -> bytes:
    """The shortest pivot with whose bytes this one begins; itself where there is none. Raises PacketError."""
    return extras.split(data).coarse.bytes()


def decode_pivot(data: bytes) -> Picture:
    """The picture in a coded pivot, uint8 [side, side, 3]; raises PacketError if it is none or has a size not allowed.

    What the stream declares is read before any pixel is decoded.
    """
    return decode_whole(data).picture


class Large(NamedTuple):
    """A pivot's pictures at twice the coded size, with open and with shut eyes."""

    picture: Picture
    shut: Picture | None


class Shown(NamedTuple):
    """What is in a coded pivot: its picture at the coded size; the same with shut eyes, where the mouth is, and both at
    twice that size, None where it does not show that."""

    picture: Picture
    shut: Picture | None
    mouth: Place | None
    large: Large | None = None


def decode_whole(data: bytes) -> Shown:
    """All that is in a coded pivot. Raises PacketError like decode_pivot."""
    if len(data) > MAX_PIVOT_BYTES:
        raise PacketError(f"pivot of {len(data)} bytes: allowed are {MAX_PIVOT_BYTES}")
    still, mouth, finer, eyes = extras.split(data)
    width, height = avif.declared_size(still)
    if width != height or not MIN_CODED_SIZE <= width <= MAX_CODED_SIZE:
        raise PacketError(f"pivot declares {width}x{height} pixels")
    patch = lids.place(still, eyes) if eyes else None
    apart = difference.parse(still, finer) if finer else None
    picture = fine = _still(still)
    if apart is not None:
        gain, more = apart[0], _still(apart[1])
        fine = difference.added(difference.enlarged(picture, more.shape[0]), more, gain)
        picture = fine if fine.shape == picture.shape else difference.halved(fine)
    shut = large_shut = None
    if patch is not None:
        left, top, eyes_shut = patch[0], patch[1], _still(patch[2])
        shut = lids.laid_over(picture, left, top, eyes_shut)
        if fine is not picture:
            doubled = difference.enlarged(eyes_shut, 2 * eyes_shut.shape[0])
            large_shut = lids.laid_over(fine, 2 * left, 2 * top, doubled)
    return Shown(picture, shut, mouth, None if fine is picture else Large(fine, large_shut))


def _still(stream: bytes) -> Picture:
    from PIL import Image

    width, height = avif.declared_size(stream)
    file = avif.wrap(stream)
    try:
        with Image.open(io.BytesIO(file), formats=["AVIF"]) as image:
            picture = np.array(image.convert("RGB"), np.uint8)
    except Exception as error:  # Pillow raises OSError, ValueError, SyntaxError and others on damaged files
        raise PacketError(f"pivot cannot be decoded: {error}") from None
    if picture.shape != (height, width, 3):
        raise PacketError("pivot decodes to another size than it declares")
    return picture
