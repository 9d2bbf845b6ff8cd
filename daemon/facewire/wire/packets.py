"""The packets: one message, one packet. Numbers are unsigned, big-endian; `varint` is LEB128 (see wire.bits).

    first byte            version modulo 8 (4 bits) | kind (4 bits); 128 and above: a short bundle

    kind 1, epoch         stream u32 | number u8 | first frame varint | pivot id 8 B | pivot bytes varint
                          | coded size varint | frames per 1000 s varint | step u8 (1/16 px; 0: raw points)
                          | network id 4 B | options u8: 0 0 0 0 0 R skip(2); R: reference points follow
                          | reference (if R): length u8, keypoint code of one frame (see wire.keypoints)
                          | CRC-16 (CCITT) of all before it
    kind 2, pivot slice   pivot id 8 B | offset varint | total varint | data (1 byte or more)
    kind 3, long bundle   see wire.bundles
    kind 4, raw bundle    like a long bundle, but its code is 80 bytes of f32 for each frame, and the check
    short bundle          see wire.bundles

`pack` and `parse` know one packet at a time. A stream goes through a `Packer` and a `Parser`, which remember what short
bundles leave out. A packet is read whole or not at all: whatever is out of range, too short or too long raises
PacketError. No packet makes the reader hold more than its own size plus 64 frames of keypoints and deformations.
"""

from __future__ import annotations

import binascii
import struct

from facewire.errors import PacketError, UnplacedError
from facewire.types import Bundle, Epoch, GridPoints, Message, PivotSlice
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.bundles import (
    MAX_FRAME_NUMBER,
    REFRESH_FRAMES,
    SHORT,
    check,
    code_bytes,
    is_raw,
    is_steady,
    pack_long,
    pack_short,
    parse_long,
    parse_short,
)
from facewire.wire.keypoints import decode_frames, encode_frames

VERSION = 9
EPOCH, PIVOT_SLICE, BUNDLE, RAW_BUNDLE = 1, 2, 3, 4
"""Kinds of packet."""

MAX_PIVOT_BYTES = 256 * 1024
MAX_SLICE_BYTES = 16 * 1024
MAX_PACKET_BYTES = MAX_SLICE_BYTES + 32
"""Nothing longer is looked at. A bundle's worst case (64 frames of escapes, and their deformations) is under 16 KiB."""
MIN_CODED_SIZE, MAX_CODED_SIZE = 64, 1024
MAX_FPS = 240.0


def pack(message: Message) -> bytes:
    """The bytes of one message; raises ValueError if a field is out of range (an error of ours, not of a peer)."""
    if isinstance(message, Bundle):
        return pack_long(message, lead(RAW_BUNDLE if is_raw(message) else BUNDLE))
    if isinstance(message, PivotSlice):
        return _pack_slice(message)
    return _pack_epoch(message)


def parse(data: bytes) -> Message:
    """The message in `data`; raises PacketError if it is no valid packet of this version, or a short bundle."""
    if not 2 <= len(data) <= MAX_PACKET_BYTES:
        raise PacketError(f"packet of {len(data)} bytes: allowed are 2 to {MAX_PACKET_BYTES}")
    if data[0] & SHORT:
        raise UnplacedError("short bundle without the epoch and the bundle that it leans on")
    kind = data[0] & 15
    if data[0] != lead(kind):
        raise PacketError(f"packet of another version: this Facewire reads version {VERSION}; update the older end")
    if kind in (BUNDLE, RAW_BUNDLE):
        return parse_long(data, kind == RAW_BUNDLE)
    if kind == PIVOT_SLICE:
        return _parse_slice(data)
    if kind == EPOCH:
        return _parse_epoch(data)
    raise PacketError(f"packet of unknown kind {kind}")


class Packer:
    """Packs the messages of one stream, bundles in the short form where that is enough.

    Every packet that it made goes to the same receivers, in this order; some may get lost on the way.
    """

    def __init__(self) -> None:
        self._epoch: Epoch | None = None
        self._last: int | None = None
        self._long_at = 0

    def pack(self, message: Message) -> bytes:
        """The bytes of the stream's next message; raises ValueError like `pack`."""
        data = self.peek(message)
        self.went(message)
        return data

    def peek(self, message: Message) -> bytes:
        """What `pack` would give; the message may still be left out."""
        short = isinstance(message, Bundle) and self._is_short(message)
        return pack_short(message, lead(BUNDLE)) if short and isinstance(message, Bundle) else pack(message)

    def went(self, message: Message) -> None:
        """The message, as `peek` gave it, is on its way."""
        if isinstance(message, Epoch):
            # Whoever has just joined, or lost something, begins here: the next bundle is long.
            self._epoch, self._last = message, None
        elif isinstance(message, Bundle):
            if not self._is_short(message):
                self._long_at = message.frames[0].number
            self._last = message.frames[-1].number

    def _is_short(self, bundle: Bundle) -> bool:
        if not is_steady(bundle, self._epoch, self._last):
            return False
        return bundle.frames[0].number - self._long_at < REFRESH_FRAMES

    def refresh(self) -> None:
        """The next bundle is to be understood by itself."""
        self._last = None


class Parser:
    """Reads the packets of one stream, in the order in which they came; some may be missing."""

    def __init__(self) -> None:
        self.unplaced = 0
        """Short bundles that were refused."""
        self._epoch: Epoch | None = None
        self._last = -1

    def parse(self, data: bytes) -> Message:
        """The message in `data`; raises PacketError if it is none, UnplacedError if it leans on what did not come."""
        try:
            epoch = self._epoch
            short = 2 <= len(data) <= MAX_PACKET_BYTES and data[0] & SHORT
            message = self._short(data, epoch) if short and epoch is not None else parse(data)
        except UnplacedError:
            self.unplaced += 1
            raise
        if isinstance(message, Epoch):
            known = self._epoch
            if known is None or (message.stream, message.number) != (known.stream, known.number):
                self._last = message.first_frame - 1
            self._epoch = message
        elif isinstance(message, Bundle):
            self._last = message.frames[-1].number
        return message

    def _short(self, data: bytes, epoch: Epoch) -> Message:
        try:
            return parse_short(data, epoch, self._last, lead(BUNDLE))
        except PacketError as error:
            # Damaged, or right but meant for an epoch that is not known: one cannot tell.
            raise UnplacedError(str(error)) from None


def payload_bytes(message: Message) -> int:
    """How many bytes of the packet are what it is sent for (keypoint code or pivot data); the rest is header."""
    if isinstance(message, Bundle):
        return code_bytes(message, lead(RAW_BUNDLE if is_raw(message) else BUNDLE))
    return len(message.data) if isinstance(message, PivotSlice) else 0


def lead(kind: int) -> int:
    """The first byte of packets of a kind."""
    return VERSION % 8 << 4 | kind


def _pack_epoch(epoch: Epoch) -> bytes:
    check("pivot bytes", epoch.pivot_bytes, 1, MAX_PIVOT_BYTES)
    check("coded size", epoch.coded_size, MIN_CODED_SIZE, MAX_CODED_SIZE)
    check("skip", epoch.skip, 0, 3)
    if len(epoch.pivot_id) != 8 or len(epoch.network) != 4:
        raise ValueError("a pivot id has 8 bytes, a network id 4")
    out = bytearray(struct.pack(">BIB", lead(EPOCH), epoch.stream, epoch.number % 256))
    out += put_varint(check("first frame", epoch.first_frame, 0, MAX_FRAME_NUMBER)) + epoch.pivot_id
    out += put_varint(epoch.pivot_bytes) + put_varint(epoch.coded_size)
    out += put_varint(check("frames per 1000 s", round(epoch.fps * 1000), 1, round(MAX_FPS * 1000)))
    out.append(check("step in sixteenths", round(epoch.step * 16), 1 if epoch.step else 0, 255))
    out += epoch.network
    out.append((epoch.reference is not None) << 2 | epoch.skip)
    if epoch.reference is not None:
        code = encode_frames([epoch.reference])
        out.append(check("bytes of the reference", len(code), 0, 255))
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
        (reference,), (deformation,), (shut,), (mouth,), (between,) = decode_frames(body[at + 1 :], 1)
        if deformation is not None or shut or mouth or between:
            raise PacketError("epoch packet with a reference that is more than points")
    elif len(body) != at:
        raise PacketError("epoch packet too long")
    if not pivot_bytes or coded_size < MIN_CODED_SIZE or not milli or options > 7:
        raise PacketError("epoch packet with a field out of range")
    return Epoch(
        stream, number, first_frame, pivot_id, pivot_bytes, coded_size, milli / 1000, options & 3, network,
        step / 16, reference,
    )  # fmt: skip


def _pack_slice(part: PivotSlice) -> bytes:
    check("slice length", len(part.data), 1, MAX_SLICE_BYTES)
    check("pivot bytes", part.total, 1, MAX_PIVOT_BYTES)
    check("slice offset", part.offset, 0, part.total - len(part.data))
    if len(part.pivot_id) != 8:
        raise ValueError("a pivot id has 8 bytes")
    return bytes([lead(PIVOT_SLICE)]) + part.pivot_id + put_varint(part.offset) + put_varint(part.total) + part.data


def _parse_slice(data: bytes) -> PivotSlice:
    if len(data) < 12:
        raise PacketError("pivot slice too short")
    offset, at = get_varint(data, 9, MAX_PIVOT_BYTES)
    total, at = get_varint(data, at, MAX_PIVOT_BYTES)
    body = data[at:]
    if not body or len(body) > MAX_SLICE_BYTES or offset + len(body) > total:
        raise PacketError("pivot slice does not lie within its pivot")
    return PivotSlice(data[1:9], offset, total, body)
