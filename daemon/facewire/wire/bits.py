"""Bits into bytes and back, most significant bit first; and variable-length integers (LEB128, as in Protocol Buffers).

Readers never read past the end: they raise PacketError. All of it is integer arithmetic.
"""

from __future__ import annotations

from facewire.errors import PacketError


class BitWriter:
    """Collects bits; `bytes()` pads the last byte with zeros."""

    def __init__(self) -> None:
        self._value = 0
        self._count = 0

    def put(self, value: int, width: int) -> None:
        """Append the `width` low bits of `value`."""
        self._value = (self._value << width) | value
        self._count += width

    def bytes(self) -> bytes:
        padding = -self._count % 8
        return (self._value << padding).to_bytes((self._count + padding) // 8, "big")


class BitReader:
    """Reads what BitWriter wrote."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def get(self, width: int) -> int:
        if width > self._left:
            raise PacketError("packet ends within a field")
        self._left -= width
        return (self._value >> self._left) & ((1 << width) - 1)


def put_varint(value: int) -> bytes:
    """LEB128: seven bits to a byte, lowest first; the high bit says that another byte follows."""
    if value < 0:
        raise ValueError(f"varint of {value}")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def get_varint(data: bytes, at: int, most: int) -> tuple[int, int]:
    """Read a varint that starts at `at` and is at most `most`; returns (value, where the next field starts)."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise PacketError("packet ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if value > most:
            raise PacketError("number in packet out of range")
        if byte < 128:
            if byte == 0 and shift:
                raise PacketError("number in packet has more bytes than it needs")
            return value, at
        shift += 7
        if shift > 35:
            raise PacketError("number in packet has more bytes than it needs")
