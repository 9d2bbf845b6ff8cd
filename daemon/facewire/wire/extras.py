"""What a coded pivot carries beside its picture.

    coded pivot   AV1 still (wire.avif)
                  | nothing, or 2 u8 | mouth (wire.mouth)
                  | nothing, or 3 u8 | difference (wire.difference)
                  | nothing, or 1 u8 | shut eyes (wire.lids)
"""

from __future__ import annotations

from typing import NamedTuple

from facewire.errors import PacketError
from facewire.wire import avif
from facewire.wire.mouth import PLACE_BYTES, Place, parse_place

_LIDS, _MOUTH, _DIFFERENCE = 1, 2, 3


class Parts(NamedTuple):
    """still: the AV1 stream; mouth: where it is; difference: gain and still of what is finer; lids: left, top and still
    of the shut eyes. b"" for none."""

    still: bytes
    mouth: Place | None = None
    difference: bytes = b""
    lids: bytes = b""

    def bytes(self) -> bytes:
        """The coded pivot."""
        mouth = b"" if self.mouth is None else bytes([_MOUTH]) + self.mouth.bytes()
        behind = ((_DIFFERENCE, self.difference), (_LIDS, self.lids))
        return self.still + mouth + b"".join(bytes([tag]) + part for tag, part in behind if part)

    @property
    def coarse(self) -> Parts:
        """The same without shut eyes and what is finer."""
        return self._replace(difference=b"", lids=b"")


def split(data: bytes) -> Parts:
    """The parts of a coded pivot; raises PacketError. What is in the AV1 streams is not looked at."""
    end = avif.length(data)
    still, rest = data[:end], data[end:]
    mouth: Place | None = None
    if rest[:1] == bytes([_MOUTH]):
        mouth, rest = parse_place(rest[1 : 1 + PLACE_BYTES]), rest[1 + PLACE_BYTES :]
    difference = b""
    if rest[:1] == bytes([_DIFFERENCE]):
        end = 2 + avif.length(rest[2:])
        difference, rest = rest[1:end], rest[end:]
    if rest and (rest[0] != _LIDS or len(rest) == 1):
        raise PacketError("pivot is followed by something that is none of it")
    return Parts(still, mouth, difference, rest[1:])
