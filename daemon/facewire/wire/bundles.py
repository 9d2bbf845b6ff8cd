"""Bundles on the wire: a header of two bytes in the steady state, one of up to seven when a receiver may know nothing.

    long      lead byte (see wire.packets) | epoch number u8 | number of the first frame varint | shape | flags | code
      shape   0 count-1(4) gap-1(2) L     one byte: up to 16 frames, evenly spaced by 1 to 4 frames
              1 count-1(6) L              then a varint: the gap of all, or 0 and count-1 varints, each a gap - 1:
                                          up to 64 frames
    short     1 L count-1(6) | low byte of the first frame's number | flags | code

    flags     only if L: count bits, padded to bytes, lowest bit first: which frames are of low confidence
    code      keypoint code (wire.keypoints), deformations, shut eyes and mouths included, of the frames that are
              not; its check is seeded with the CRC-32 of the header in its long form, flags included. Long packets
              have a sibling for raw points (wire.packets, kind 4)

A frame of low confidence has no points of its own: those of the frame before it in the bundle, or zeros.

A short header leaves to the receiver what it knows: its epoch is the newest one announced, frames are spaced by that
epoch's skip + 1, and the first number is the lowest with this low byte that is above the last one received (in a new
epoch: not below its first frame). Because the check covers the long form, a receiver that missed an epoch, or more than
256 frames, does not place a bundle wrongly but refuses it, until the next long one. A sender writes the long form after
each announcement and every REFRESH_FRAMES frames.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.errors import PacketError
from facewire.types import KEYPOINTS, Bundle, Epoch, KeypointFrame
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.keypoints import decode_frames, decode_raw, encode_frames, encode_raw

MAX_FRAME_NUMBER = (1 << 32) - 1
"""Five years of shown frames at 25 a second."""
MAX_BUNDLE_FRAMES = 64
MAX_GAP = 1 << 16
SHORT = 0x80
"""Set in the first byte of a short bundle, and of no other packet."""
REFRESH_FRAMES = 250
"""Shown frames after which a bundle is long again."""
NEAR_FRAMES = 100
"""A bundle that begins further behind the last one is long: the rest of 256 is for bundles that get lost between."""

_STEADY_FRAMES = 16
_STEADY_GAP = 4
_LOW = 0x40


def pack_long(bundle: Bundle, lead: int) -> bytes:
    """The packet that is understood by itself; raises ValueError if a field is out of range."""
    header = long_header(bundle, lead)
    return header + _code(bundle, header)


def pack_short(bundle: Bundle, long_lead: int) -> bytes:
    """The packet for receivers that know epoch and last number (see Packer)."""
    low = [frame.low_confidence for frame in bundle.frames]
    head = bytes([SHORT | any(low) * _LOW | len(low) - 1, bundle.frames[0].number & 0xFF])
    return head + (_put_flags(low) if any(low) else b"") + _code(bundle, long_header(bundle, long_lead))


def is_raw(bundle: Bundle) -> bool:
    """Whether its points are floats, not grid points."""
    return bool(bundle.frames) and bundle.frames[0].points.dtype != np.int16


def is_steady(bundle: Bundle, epoch: Epoch | None, last: int | None) -> bool:
    """Whether the short form says it all to a receiver that knows `epoch` and the `last` number."""
    if epoch is None or last is None or bundle.epoch != epoch.number or is_raw(bundle):
        return False
    numbers = [frame.number for frame in bundle.frames]
    evenly = all(after - before == epoch.skip + 1 for before, after in pairwise(numbers))
    return evenly and len(numbers) <= MAX_BUNDLE_FRAMES and 0 < numbers[0] - last <= NEAR_FRAMES


def long_header(bundle: Bundle, lead: int) -> bytes:
    frames = bundle.frames
    check("frames in bundle", len(frames), 1, MAX_BUNDLE_FRAMES)
    check("frame number", frames[0].number, 0, MAX_FRAME_NUMBER)
    check("frame number", frames[-1].number, 0, MAX_FRAME_NUMBER)
    gaps = [check("gap", b.number - a.number, 1, MAX_GAP) for a, b in pairwise(frames)]
    return _long_header(lead, bundle.epoch, frames[0].number, gaps, [frame.low_confidence for frame in frames])


def _long_header(lead: int, epoch: int, first: int, gaps: Sequence[int], low: list[bool]) -> bytes:
    count = len(low)
    out = bytearray([lead, epoch % 256]) + put_varint(first)
    if count <= _STEADY_FRAMES and len(set(gaps)) <= 1 and all(gap <= _STEADY_GAP for gap in gaps):
        out.append((count - 1) << 3 | ((gaps[0] - 1) if gaps else 0) << 1 | any(low))
    else:
        even = len(set(gaps)) == 1
        out.append(0x80 | (count - 1) << 1 | any(low))
        out += put_varint(gaps[0] if even else 0)
        for gap in () if even else gaps:
            out += put_varint(gap - 1)
    if any(low):
        out += _put_flags(low)
    return bytes(out)


def code_bytes(bundle: Bundle, lead: int) -> int:
    """How many bytes of the packet are keypoint code."""
    return len(_code(bundle, long_header(bundle, lead)))


def parse_long(data: bytes, raw: bool) -> Bundle:
    """Inverse of pack_long, lead byte included; raises PacketError."""
    first, at = get_varint(data, 2, MAX_FRAME_NUMBER)
    if at >= len(data):
        raise PacketError("bundle ends before its shape")
    shape, at = data[at], at + 1
    if shape & 0x80:
        count = (shape >> 1 & 63) + 1
        even, at = get_varint(data, at, MAX_GAP)
        gaps = [even] * (count - 1)
        for index in range(0 if even else count - 1):
            gap, at = get_varint(data, at, MAX_GAP - 1)
            gaps[index] = gap + 1
    else:
        count = (shape >> 3) + 1
        gaps = [(shape >> 1 & 3) + 1] * (count - 1)
    low = [False] * count
    if shape & 1:
        low, at = _get_flags(data, at, count)
    numbers = [first]
    for gap in gaps:
        numbers.append(numbers[-1] + gap)
    if numbers[-1] > MAX_FRAME_NUMBER:
        raise PacketError("frame number in bundle out of range")
    return _bundle(data[1], numbers, low, data[at:], zlib.crc32(data[:at]), raw)


def parse_short(data: bytes, epoch: Epoch, last: int, long_lead: int) -> Bundle:
    """Inverse of pack_short for a receiver that knows `epoch` and the `last` number; raises PacketError."""
    count = (data[0] & 63) + 1
    low, at = [False] * count, 2
    if data[0] & _LOW:
        low, at = _get_flags(data, at, count)
    gap = epoch.skip + 1
    first = last + 1 + ((data[1] - last - 1) & 0xFF)
    numbers = [first + index * gap for index in range(count)]
    if numbers[-1] > MAX_FRAME_NUMBER:
        raise PacketError("frame number in bundle out of range")
    seed = zlib.crc32(_long_header(long_lead, epoch.number, first, [gap] * (count - 1), low))
    return _bundle(epoch.number, numbers, low, data[at:], seed, raw=False)


def check(name: str, value: int, least: int, most: int) -> int:
    """The value; raises ValueError if it is out of range (an error of ours, not of a peer)."""
    if not least <= value <= most:
        raise ValueError(f"{name} {value}: allowed are {least} to {most}")
    return value


def _code(bundle: Bundle, header: bytes) -> bytes:
    sure = [frame for frame in bundle.frames if not frame.low_confidence]
    points, seed = [frame.points for frame in sure], zlib.crc32(header)
    if is_raw(bundle):
        return encode_raw(points, seed)
    deformations, shut = [frame.deformation for frame in sure], [frame.shut for frame in sure]
    mouths, between = [frame.mouth for frame in sure], [frame.between for frame in sure]
    return encode_frames(points, seed, deformations, shut, mouths, between)


def _bundle(epoch: int, numbers: Sequence[int], low: list[bool], code: bytes, seed: int, raw: bool) -> Bundle:
    count = low.count(False)
    found: Iterator[Any]
    if raw:
        found = zip(decode_raw(code, count, seed), strict=True)
    else:
        found = zip(*decode_frames(code, count, seed), strict=True)
    points: NDArray[Any] = np.zeros((KEYPOINTS, 2), np.float32 if raw else np.int16)
    frames = []
    for number, flag in zip(numbers, low, strict=True):
        said: Sequence[Any] = ()
        if not flag:
            points, *said = next(found)
        frames.append(KeypointFrame(number, points, flag, *said))
    return Bundle(epoch, tuple(frames))


def _put_flags(flags: list[bool]) -> bytes:
    value = sum(1 << index for index, flag in enumerate(flags) if flag)
    return value.to_bytes((len(flags) + 7) // 8, "little")


def _get_flags(data: bytes, at: int, count: int) -> tuple[list[bool], int]:
    end = at + (count + 7) // 8
    value = int.from_bytes(data[at:end], "little")
    if end > len(data) or not 0 < value < 1 << count:
        raise PacketError("bundle with invalid confidence flags")
    return [bool(value >> index & 1) for index in range(count)], end
