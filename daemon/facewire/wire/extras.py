"""What a coded pivot carries beside its picture.

    coded pivot   AV1 still (wire.avif)
                  | nothing, or 2 u8 | mouth (wire.mouth)
                  | nothing, or 1 u8 | shut eyes (wire.lids)
"""

from __future__ import annotations

from typing import NamedTuple

from facewire.errors import PacketError
from facewire.wire import avif
from facewire.wire.mouth import PLACE_BYTES, Place, parse_place

_LIDS, _MOUTH = 1, 2


class Parts(NamedTuple):
    """still: the AV1 stream; mouth: where it is; lids: left, top and still of the shut eyes, b"" for none."""

    still: bytes
    mouth: Place | None = None
    lids: bytes = b""

    def bytes(self) -> bytes:
        """The coded pivot."""
        mouth = b"" if self.mouth is None else bytes([_MOUTH]) + self.mouth.bytes()
        return self.still + mouth + (bytes([_LIDS]) + self.lids if self.lids else b"")


def split(data: bytes) -> Parts:
    """The parts of a coded pivot; raises PacketError. What is in the AV1 streams is not looked at."""
    end = avif.length(data)
    still, rest = data[:end], data[end:]
    mouth: Place | None = None
    if rest[:1] == bytes([_MOUTH]):
        mouth, rest = parse_place(rest[1 : 1 + PLACE_BYTES]), rest[1 + PLACE_BYTES :]
    if rest and (rest[0] != _LIDS or len(rest) == 1):
        raise PacketError("pivot is followed by something that is none of it")
    return Parts(still, mouth, rest[1:])
