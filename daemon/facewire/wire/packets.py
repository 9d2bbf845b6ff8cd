"""The packets: one message, one packet. Numbers are unsigned, big-endian; `varint` is LEB128 (see wire.bits).

    every packet starts   version (4 bits) | kind (4 bits)

    kind 1, epoch         stream u32 | number u8 | first frame varint | pivot id 8 B | pivot bytes varint
                          | coded size varint | frames per 1000 s varint | step u8 (1/16 px) | network id 4 B
                          | options u8: 0 0 0 0 0 R skip(2); R: reference points follow
                          | reference (if R): length u8, keypoint code of one frame (see wire.keypoints)
                          | CRC-16 (CCITT) of all before it
    kind 2, pivot slice   pivot id 8 B | offset varint | total varint | data (1 byte or more)
    kind 3, bundle        epoch number u8 | number of the first frame varint | shape
                          | keypoint code, its check seeded with the CRC-32 of all before it

    shape of a bundle     0 count-1(4) gap-1(2) L       one byte: up to 16 frames, evenly spaced by 1 to 4 frames
                          1 count-1(6) L                then count-1 varints, each a gap - 1: up to 64 frames
                          L: count bits follow, padded to bytes: which frames are of low confidence

A bundle of a stream's first day has a header of 6 bytes or fewer. A packet is read whole or not at all: whatever is
out of range, too short or too long raises PacketError. No packet makes the reader hold more than its own size plus
64 frames of keypoints.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from itertools import pairwise

from facewire.errors import PacketError
from facewire.types import Bundle, Epoch, GridPoints, KeypointFrame, Message, PivotSlice
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.keypoints import decode_frames, encode_frames

VERSION = 1
EPOCH, PIVOT_SLICE, BUNDLE = 1, 2, 3
"""Kinds of packet."""

MAX_FRAME_NUMBER = (1 << 32) - 1
"""Five years of shown frames at 25 a second."""
MAX_BUNDLE_FRAMES = 64
MAX_GAP = 1 << 16
MAX_PIVOT_BYTES = 256 * 1024
MAX_SLICE_BYTES = 16 * 1024
MAX_PACKET_BYTES = MAX_SLICE_BYTES + 32
"""Nothing longer is looked at. A bundle's worst case (64 frames of escapes) is under 6 KiB."""
MIN_CODED_SIZE, MAX_CODED_SIZE = 64, 1024
MAX_FPS = 240.0

_STEADY_FRAMES = 16
_STEADY_GAP = 4


def pack(message: Message) -> bytes:
    """The bytes of one message; raises ValueError if a field is out of range (an error of ours, not of a peer)."""
    if isinstance(message, Bundle):
        return _pack_bundle(message)
    if isinstance(message, PivotSlice):
        return _pack_slice(message)
    return _pack_epoch(message)


def parse(data: bytes) -> Message:
    """The message in `data`; raises PacketError if it is no valid packet of this version."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES:
        raise PacketError(f"packet of {len(data)} bytes: allowed are 2 to {MAX_PACKET_BYTES}")
    version, kind = data[0] >> 4, data[0] & 15
    if version != VERSION:
        raise PacketError(f"packet of version {version}: this Facewire reads version {VERSION}")
    if kind == BUNDLE:
        return _parse_bundle(data)
    if kind == PIVOT_SLICE:
        return _parse_slice(data)
    if kind == EPOCH:
        return _parse_epoch(data)
    raise PacketError(f"packet of unknown kind {kind}")


def payload_bytes(message: Message) -> int:
    """How many bytes of the packet are what it is sent for (keypoint code or pivot data); the rest is header."""
    if isinstance(message, Bundle):
        return len(_pack_bundle(message)) - len(_bundle_header(message))
    return len(message.data) if isinstance(message, PivotSlice) else 0


def _check(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(f"{name} {value}: allowed are {least} to {most}")
    return value


def _lead(kind: int) -> int:
    return VERSION << 4 | kind


def _pack_epoch(epoch: Epoch) -> bytes:
    _check("pivot bytes", epoch.pivot_bytes, 1, MAX_PIVOT_BYTES)
    _check("coded size", epoch.coded_size, MIN_CODED_SIZE, MAX_CODED_SIZE)
    _check("skip", epoch.skip, 0, 3)
    if len(epoch.pivot_id) != 8 or len(epoch.network) != 4:
        raise ValueError("a pivot id has 8 bytes, a network id 4")
    out = bytearray(struct.pack(">BIB", _lead(EPOCH), epoch.stream, epoch.number % 256))
    out += put_varint(_check("first frame", epoch.first_frame, 0, MAX_FRAME_NUMBER)) + epoch.pivot_id
    out += put_varint(epoch.pivot_bytes) + put_varint(epoch.coded_size)
    out += put_varint(_check("frames per 1000 s", round(epoch.fps * 1000), 1, round(MAX_FPS * 1000)))
    out.append(_check("step in sixteenths", round(epoch.step * 16), 1, 255))
    out += epoch.network
    out.append((epoch.reference is not None) << 2 | epoch.skip)
    if epoch.reference is not None:
        code = encode_frames([epoch.reference])
        out.append(_check("bytes of the reference", len(code), 0, 255))
        out += code
    return bytes(out + binascii.crc_hqx(out, 0xFFFF).to_bytes(2, "big"))


def _parse_epoch(data: bytes) -> Epoch:
    if binascii.crc_hqx(data[:-2], 0xFFFF) != int.from_bytes(data[-2:], "big"):
        raise PacketError("epoch packet damaged")
    body = data[:-2]
    if len(body) < 6:
        raise PacketError("epoch packet too short")
    _, stream, number = struct.unpack_from(">BIB", body)
    first_frame, at = get_varint(body, 6, MAX_FRAME_NUMBER)
    pivot_id, at = body[at : at + 8], at + 8
    pivot_bytes, at = get_varint(body, at, MAX_PIVOT_BYTES)
    coded_size, at = get_varint(body, at, MAX_CODED_SIZE)
    milli, at = get_varint(body, at, round(MAX_FPS * 1000))
    if len(body) < at + 6:
        raise PacketError("epoch packet too short")
    step, network, options, at = body[at], body[at + 1 : at + 5], body[at + 5], at + 6
    reference: GridPoints | None = None
    if options & 4:
        if len(body) < at + 1 or len(body) != at + 1 + body[at]:
            raise PacketError("epoch packet and its length differ")
        reference = decode_frames(body[at + 1 :], 1)[0]
    elif len(body) != at:
        raise PacketError("epoch packet too long")
    if not pivot_bytes or coded_size < MIN_CODED_SIZE or not milli or not step or options > 7:
        raise PacketError("epoch packet with a field out of range")
    return Epoch(
        stream, number, first_frame, pivot_id, pivot_bytes, coded_size, milli / 1000, options & 3, network,
        step / 16, reference,
    )  # fmt: skip


def _pack_slice(part: PivotSlice) -> bytes:
    _check("slice length", len(part.data), 1, MAX_SLICE_BYTES)
    _check("pivot bytes", part.total, 1, MAX_PIVOT_BYTES)
    _check("slice offset", part.offset, 0, part.total - len(part.data))
    if len(part.pivot_id) != 8:
        raise ValueError("a pivot id has 8 bytes")
    return bytes([_lead(PIVOT_SLICE)]) + part.pivot_id + put_varint(part.offset) + put_varint(part.total) + part.data


def _parse_slice(data: bytes) -> PivotSlice:
    if len(data) < 12:
        raise PacketError("pivot slice too short")
    offset, at = get_varint(data, 9, MAX_PIVOT_BYTES)
    total, at = get_varint(data, at, MAX_PIVOT_BYTES)
    body = data[at:]
    if not body or len(body) > MAX_SLICE_BYTES or offset + len(body) > total:
        raise PacketError("pivot slice does not lie within its pivot")
    return PivotSlice(data[1:9], offset, total, body)


def _pack_bundle(bundle: Bundle) -> bytes:
    header = _bundle_header(bundle)
    return header + encode_frames([frame.points for frame in bundle.frames], zlib.crc32(header))


def _bundle_header(bundle: Bundle) -> bytes:
    frames = bundle.frames
    count = _check("frames in bundle", len(frames), 1, MAX_BUNDLE_FRAMES)
    _check("frame number", frames[0].number, 0, MAX_FRAME_NUMBER)
    _check("frame number", frames[-1].number, 0, MAX_FRAME_NUMBER)
    gaps = [_check("gap", b.number - a.number, 1, MAX_GAP) for a, b in pairwise(frames)]
    low = [frame.low_confidence for frame in frames]
    out = bytearray([_lead(BUNDLE), bundle.epoch % 256]) + put_varint(frames[0].number)
    if count <= _STEADY_FRAMES and len(set(gaps)) <= 1 and all(gap <= _STEADY_GAP for gap in gaps):
        out.append((count - 1) << 3 | ((gaps[0] - 1) if gaps else 0) << 1 | any(low))
    else:
        out.append(0x80 | (count - 1) << 1 | any(low))
        for gap in gaps:
            out += put_varint(gap - 1)
    if any(low):
        out += _put_flags(low)
    return bytes(out)


def _parse_bundle(data: bytes) -> Bundle:
    first, at = get_varint(data, 2, MAX_FRAME_NUMBER)
    if at >= len(data):
        raise PacketError("bundle ends before its shape")
    shape, at = data[at], at + 1
    if shape & 0x80:
        count = (shape >> 1 & 63) + 1
        gaps = []
        for _ in range(count - 1):
            gap, at = get_varint(data, at, MAX_GAP - 1)
            gaps.append(gap + 1)
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
    points = decode_frames(data[at:], count, zlib.crc32(data[:at]))
    return Bundle(data[1], tuple(map(KeypointFrame, numbers, points, low)))


def _put_flags(flags: list[bool]) -> bytes:
    value = sum(1 << index for index, flag in enumerate(flags) if flag)
    return value.to_bytes((len(flags) + 7) // 8, "little")


def _get_flags(data: bytes, at: int, count: int) -> tuple[list[bool], int]:
    end = at + (count + 7) // 8
    value = int.from_bytes(data[at:end], "little")
    if end > len(data) or not 0 < value < 1 << count:
        raise PacketError("bundle with invalid confidence flags")
    return [bool(value >> index & 1) for index in range(count)], end
