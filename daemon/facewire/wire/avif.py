"""A still AV1 picture without the AVIF file around it, and with it again.

An AVIF file spends 275 bytes on boxes that say the same for all of our pivots; a pivot on the narrowest link has 2,500
in all. So only the AV1 stream travels, and the receiver builds the file around it:

    sequence header OBU   type 1, reduced still-picture header, profile 0 (8 bit, 4:2:0)
    frame OBU             type 6, up to the end

(AV1 Bitstream & Decoding Process Specification, 5.3 to 5.5; AV1 Image File Format, v1.1.) Nothing else is allowed,
which makes the stream safe to judge before it is decoded: with a reduced header the frame can only have the size that
the sequence header declares.
"""

from __future__ import annotations

import struct

from facewire.errors import PacketError
from facewire.wire.bits import BitReader, get_varint

_SEQUENCE_OBU = 0x0A
_FRAME_OBU = 0x32
_DELIMITER = b"\x12\x00"
_MAX_SEQUENCE_BYTES = 64


def unwrap(file: bytes) -> bytes:
    """The AV1 stream of an AVIF file with one item, as libavif writes it; raises ValueError if it is another kind."""
    at = 0
    while at + 8 <= len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        if kind == b"mdat":
            stream = file[at + 8 : at + length].removeprefix(_DELIMITER)
            declared_size(stream)
            return stream
        at += max(length, 8)
    raise ValueError("AVIF file without picture data")


def declared_size(stream: bytes) -> tuple[int, int]:
    """Width and height that the stream declares, without decoding it; raises PacketError if it is not of our form."""
    width, height, end = _measured(stream)
    if end != len(stream):
        raise PacketError("pivot is longer or shorter than its AV1 frame")
    return width, height


def length(stream: bytes) -> int:
    """Bytes of the AV1 still that `stream` begins with; raises PacketError if it is not of our form, or cut."""
    end = _measured(stream)[2]
    if end > len(stream):
        raise PacketError("pivot is shorter than its AV1 frame")
    return end


def _measured(stream: bytes) -> tuple[int, int, int]:
    """Width, height, and where the frame ends."""
    if len(stream) < 8 or stream[0] != _SEQUENCE_OBU:
        raise PacketError("pivot does not start with an AV1 sequence header")
    header, at = get_varint(stream, 1, _MAX_SEQUENCE_BYTES)
    frame = at + header
    if frame >= len(stream) or stream[frame] != _FRAME_OBU:
        raise PacketError("pivot holds something else than one AV1 frame")
    size, start = get_varint(stream, frame + 1, len(stream))
    bits = BitReader(stream[at:frame])
    profile, still, reduced = bits.get(3), bits.get(1), bits.get(1)
    if profile or not still or not reduced:
        raise PacketError("pivot is no AV1 still picture of profile 0")
    bits.get(5)  # level: libaom leaves it at 2.0 for small pictures, decoders do not rely on it
    width_bits, height_bits = bits.get(4) + 1, bits.get(4) + 1
    return bits.get(width_bits) + 1, bits.get(height_bits) + 1, start + size


def wrap(stream: bytes) -> bytes:
    """An AVIF file around the stream; raises PacketError like declared_size."""
    width, height = declared_size(stream)
    media = _DELIMITER + stream
    kind = _box(b"ftyp", b"avif\0\0\0\0avifmif1miafMA1B")
    # The item's place in the file depends on the boxes before it, whose length does not depend on that place.
    place = len(kind) + len(_meta(width, height, 0, len(media))) + 8
    return kind + _meta(width, height, place, len(media)) + _box(b"mdat", media)


def _meta(width: int, height: int, place: int, length: int) -> bytes:
    properties = _box(
        b"ipco",
        _box(b"ispe", struct.pack(">III", 0, width, height)),
        _box(b"pixi", b"\0\0\0\0\3\10\10\10"),
        _box(b"av1C", b"\x81\x00\x0c\x00"),
        _box(b"colr", b"nclx\0\1\0\15\0\6\x80"),  # BT.709 primaries, sRGB transfer, BT.601 matrix, full range
    )
    association = _box(b"ipma", struct.pack(">IIHB", 0, 1, 1, 4) + b"\1\2\x83\4")
    return _box(
        b"meta",
        b"\0\0\0\0",
        _box(b"hdlr", b"\0" * 8 + b"pict" + b"\0" * 13),
        _box(b"pitm", b"\0\0\0\0\0\1"),
        _box(b"iloc", b"\0\0\0\0\x44\0\0\1\0\1\0\0\0\1" + struct.pack(">II", place, length)),
        _box(b"iinf", b"\0\0\0\0\0\1", _box(b"infe", b"\2\0\0\0\0\1\0\0av01Color\0")),
        _box(b"iprp", properties, association),
    )


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body
