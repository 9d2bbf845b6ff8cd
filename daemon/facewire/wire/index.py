r"""The index of a `.fw` file: where to begin to read for a frame, without reading all before it.

    index     a record like any other (see wire.container) whose packet is
              0x4F | distance back to the record of the index before it varint (0: there is none)
              | count varint, then for each epoch:  first frame - that of the one before varint
                                                    | offset - that of the one before varint
                                                    | distance back from there to the first slice of its pivot varint
              | count varint, then for each place:  number of its first frame - that of the one before varint
                                                    | offset - that of the one before varint
              | length of the whole record u32

Offsets are those of records in the file. A place is a long bundle: one can begin there, given the epoch. The first
frame and offset in each list count from 0. Each index tells what has come since the one before it, the last one ends
the file: its last six bytes, length and CRC-16, lead to it. A file without one (cut, or still being written) is read
from its beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from facewire.errors import PacketError
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.bundles import MAX_FRAME_NUMBER
from facewire.wire.packets import lead

LEAD = lead(15)
MAX_ENTRIES = 500
"""Entries after which a writer ends an index and begins another one."""
MAX_OFFSET = (1 << 34) - 1
"""16 GiB, or two hundred days at 8 kbit/s."""
_FIELDS = 3


@dataclass(frozen=True)
class Place:
    """Where a frame's record starts; pivot: where the slices begin that an epoch needs (epochs only)."""

    frame: int
    offset: int
    pivot: int = 0


@dataclass
class Index:
    """Epochs and places, in the order of the file; previous: offset of the index before it, 0 if there is none."""

    epochs: list[Place] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    previous: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.epochs) + len(self.places) >= MAX_ENTRIES


def pack_index(index: Index, offset: int) -> bytes:
    """The packet of an index whose record starts at `offset`, without the u32 at its end."""
    out = bytearray([LEAD]) + put_varint(offset - index.previous if index.previous else 0)
    for entries, with_pivot in ((index.epochs, True), (index.places, False)):
        out += put_varint(len(entries))
        frame = at = 0
        for entry in entries:
            out += put_varint(entry.frame - frame) + put_varint(entry.offset - at)
            if with_pivot:
                out += put_varint(entry.offset - entry.pivot)
            frame, at = entry.frame, entry.offset
    return bytes(out)


def parse_index(packet: bytes, offset: int) -> Index:
    """Inverse of pack_index, with the u32; raises PacketError. Holds no more entries than the packet has bytes."""
    if len(packet) < 1 + _FIELDS + 4 or packet[0] != LEAD:
        raise PacketError("no index")
    body = packet[:-4]
    back, at = get_varint(body, 1, offset)
    lists: list[list[Place]] = []
    for with_pivot in (True, False):
        count, at = get_varint(body, at, len(body))
        entries: list[Place] = []
        frame = place = 0
        for _ in range(count):
            more, at = get_varint(body, at, MAX_FRAME_NUMBER)
            further, at = get_varint(body, at, MAX_OFFSET)
            frame, place = frame + more, place + further
            pivot = place
            if with_pivot:
                behind, at = get_varint(body, at, MAX_OFFSET)
                pivot = place - behind
            if frame > MAX_FRAME_NUMBER or not 0 <= pivot <= place < offset:
                raise PacketError("index leads out of its file")
            entries.append(Place(frame, place, pivot if with_pivot else 0))
        lists.append(entries)
    if at != len(body):
        raise PacketError("index and its length differ")
    return Index(lists[0], lists[1], offset - back if back else 0)


def last_before(entries: Sequence[Place], frame: int) -> Place | None:
    """The last entry that begins at or before a frame."""
    return next((entry for entry in reversed(entries) if entry.frame <= frame), None)
