r"""The `.fw` file: packets one after the other, readable up to wherever it was cut, whatever was damaged before.

    head      "\x89FW\r\n" (5 bytes) | version u8 | shown size u16 | CRC-16 of these 8 bytes
    record    length varint | packet (see wire.packets; short bundles lean on the records before) | CRC-16 of the record
    record    ...
    index     a record too (see wire.index)

Numbers are unsigned and big-endian; CRC-16 is CCITT's (x^16 + x^12 + x^5 + 1, begun with 0xFFFF). A file may be
appended to: new records and a new index follow the old ones. A reader that meets a damaged record looks for the next
place where length, CRC, version and kind agree, so damage costs only the packets that it hits, and at most the short
bundles up to the next long one. The head is needed only to tell what the file is.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from facewire.errors import ContainerError, PacketError
from facewire.types import Epoch, Message, PivotSlice
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.bundles import SHORT
from facewire.wire.index import LEAD, Index, Place, last_before, pack_index, parse_index
from facewire.wire.packets import MAX_PACKET_BYTES, VERSION, Packer, Parser

MAGIC = b"\x89FW\r\n"
HEAD_BYTES = 10
RECORD_OVERHEAD = 3
"""Bytes that a record adds to a packet shorter than 128 bytes; 4 to longer ones."""
MAX_LOST_BYTES = 1 << 20
"""A file with a longer stretch without one whole packet is given up there."""
MAX_PIVOT_RECORDS = 1 << 16
"""Records looked through for the slices of a pivot, when reading begins in the middle."""

_BLOCK = 1 << 16
_LONGEST_RECORD = MAX_PACKET_BYTES + 5
_TAIL = 6


def _check(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")


@dataclass(frozen=True)
class Record:
    """One packet of a file."""

    message: Message
    packet_bytes: int
    record_bytes: int
    """What the packet takes in the file, length and CRC included."""
    is_long: bool = True
    """Can be understood without the records before it (but for the epoch)."""


class Writer:
    """Writes a `.fw` file; every packet is in the file as soon as `write` returns, so that a crash costs nothing more.

    append: go on with the file that is there; what is written must have frame numbers from `next_frame` on.
    Raises ContainerError if the file cannot be written (full disk, no permission) or, appending, is no .fw file.
    """

    def __init__(self, path: Path, shown_size: int = 512, append: bool = False) -> None:
        self.path = path
        self.bytes = 0
        self.next_frame = 0
        """One more than the last frame number in the file."""
        self._packer = Packer()
        self._index = Index()
        self._slices: dict[bytes, int] = {}
        appends = append and path.exists()
        if appends:
            self._go_on(Reader(path))
        try:
            self._file: BinaryIO = path.open("ab" if appends else "wb", buffering=0)
        except OSError as error:
            raise ContainerError(f"cannot write {path}: {error.strerror}") from None
        if not appends:
            head = MAGIC + bytes([VERSION]) + shown_size.to_bytes(2, "big")
            self._put(head + _check(head))

    def write(self, message: Message) -> Record:
        """Append one message; returns what it took."""
        packet = self._packer.pack(message)
        self._note(message, not packet[0] & SHORT, self.bytes)
        framed = put_varint(len(packet)) + packet
        self._put(framed + _check(framed))
        record = Record(message, len(packet), len(framed) + 2, not packet[0] & SHORT)
        if self._index.is_full:
            self._put_index()
        return record

    def close(self) -> None:
        """Write the index and end. Raises ContainerError."""
        try:
            if self._index.epochs or self._index.places:
                self._put_index()
        finally:
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _go_on(self, reader: Reader) -> None:
        """Take up the state that the file's own writer had at its end."""
        for offset, record in reader.walk():
            if isinstance(record, Record):
                self._note(record.message, record.is_long, offset)
            else:
                self._index = Index(previous=offset)
        self.bytes = reader.file_bytes

    def _note(self, message: Message, is_long: bool, offset: int) -> None:
        if isinstance(message, PivotSlice):
            self._slices.setdefault(message.pivot_id, offset)
        elif isinstance(message, Epoch):
            _add(self._index.epochs, Place(message.first_frame, offset, self._slices.get(message.pivot_id, offset)))
        else:
            self.next_frame = max(self.next_frame, message.frames[-1].number + 1)
            if is_long:
                _add(self._index.places, Place(message.frames[0].number, offset))

    def _put_index(self) -> None:
        at = self.bytes
        packet = pack_index(self._index, at)
        length = len(packet) + 4
        framed = put_varint(length) + packet
        framed += (len(framed) + 4 + 2).to_bytes(4, "big")
        self._put(framed + _check(framed))
        self._index = Index(previous=at)

    def _put(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise ContainerError(f"cannot write {self.path}: {error.strerror}") from None
        self.bytes += len(data)


class Reader:
    """Reads a `.fw` file; iterate over it for its records.

    After the iteration `lost_bytes` says how much could not be read as packets, `file_bytes` how long the file is.
    Raises ContainerError at once if the file is none or of another version. Holds two blocks of the file at most.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost_bytes = 0
        self.file_bytes = 0
        self.shown_size = 512
        try:
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise ContainerError(f"cannot read {path}: {error.strerror}") from None
        if not head.startswith(MAGIC):
            raise ContainerError(f"{path} is no .fw file (it does not start with the .fw mark)")
        if len(head) > len(MAGIC) and head[len(MAGIC)] != VERSION:
            raise ContainerError(
                f"{path} is a .fw file of version {head[len(MAGIC)]}, this Facewire reads {VERSION}: "
                "take the Facewire that wrote it"
            )
        if len(head) == HEAD_BYTES and _check(head[:-2]) == head[-2:]:
            self.shown_size = int.from_bytes(head[6:8], "big")

    def __iter__(self) -> Iterator[Record]:
        return (record for _, record in self.walk() if isinstance(record, Record))

    def walk(self) -> Iterator[tuple[int, Record | Index]]:
        """All records and indexes with their offsets."""
        self.lost_bytes = 0
        return self._walk(HEAD_BYTES, Parser())

    def since(self, frame: int) -> Iterator[Record]:
        """What is needed to show the stream from `frame` on: its pivot, its epoch, and all from a little before it.

        Reads the whole file where the index does not lead there.
        """
        epoch, place = self._find(frame) if frame > 0 else (None, None)
        if epoch is None or place is None:
            yield from self
            return
        parser = Parser()
        found, whole = 0, False
        for opening in self._opening(epoch, parser):
            found += len(opening.message.data) if isinstance(opening.message, PivotSlice) else 0
            yield opening
            whole = isinstance(opening.message, Epoch) and found >= opening.message.pivot_bytes
        # Slices that come after their epoch lie before the place.
        for offset, record in self._walk(max(epoch.offset, place.offset) if whole else epoch.offset, parser):
            if isinstance(record, Record) and offset != epoch.offset:
                yield record

    def _opening(self, epoch: Place, parser: Parser) -> Iterator[Record]:
        """The pivot's slices and the epoch itself; `parser` then knows the epoch."""
        announced = next((r for _, r in self._walk(epoch.offset, parser) if isinstance(r, Record)), None)
        if announced is None or not isinstance(announced.message, Epoch):
            return
        missing = announced.message.pivot_bytes
        for count, (offset, record) in enumerate(self._walk(epoch.pivot, Parser())):
            if offset >= epoch.offset or missing <= 0 or count >= MAX_PIVOT_RECORDS:
                break
            if not isinstance(record, Record) or not isinstance(record.message, PivotSlice):
                continue
            if record.message.pivot_id == announced.message.pivot_id:
                missing -= len(record.message.data)
                yield record
        yield announced

    def _find(self, frame: int) -> tuple[Place | None, Place | None]:
        """The last epoch and the last place at or before a frame; None where no index knows one."""
        epoch = place = None
        try:
            with self.path.open("rb") as file:
                index = _last_index(file)
                while index is not None:
                    epoch = epoch or last_before(index.epochs, frame)
                    place = place or last_before(index.places, frame)
                    if (epoch and place) or not index.previous:
                        break
                    index = _index_at(file, index.previous)
        except OSError as error:
            raise ContainerError(f"cannot read {self.path}: {error.strerror}") from None
        return epoch, place

    def _walk(self, start: int, parser: Parser) -> Iterator[tuple[int, Record | Index]]:
        try:
            with self.path.open("rb") as file:
                self.file_bytes = len(file.read(HEAD_BYTES))
                if start > HEAD_BYTES:
                    file.seek(start)
                    self.file_bytes = start
                yield from self._records(file, parser)
        except OSError as error:
            raise ContainerError(f"cannot read {self.path}: {error.strerror}") from None

    def _records(self, file: BinaryIO, parser: Parser) -> Iterator[tuple[int, Record | Index]]:
        window, at, lost_here = b"", 0, 0
        more = True
        while True:
            if more and len(window) - at < _LONGEST_RECORD:
                block = file.read(_BLOCK)
                more = bool(block)
                self.file_bytes += len(block)
                window, at = window[at:] + block, 0
                continue
            if at >= len(window):
                return
            offset = self.file_bytes - len(window) + at
            record, length = _record(window, at, offset, parser)
            if record is None:
                # Within a damaged stretch anything may look like a length; elsewhere the record's own is believed.
                length = length if length and not lost_here else 1
                self.lost_bytes += length
                lost_here += length
                if lost_here > MAX_LOST_BYTES:
                    return
            else:
                lost_here = 0
                yield offset, record
            at += length


def _add(entries: list[Place], entry: Place) -> None:
    if not entries or entry.frame > entries[-1].frame:
        entries.append(entry)


def _framed(window: bytes, at: int) -> tuple[bytes, int]:
    """The packet of the record at `at` and the record's length; raises PacketError if none starts there."""
    length, start = get_varint(window, at, MAX_PACKET_BYTES)
    end = start + length
    if end + 2 > len(window) or _check(window[at:end]) != window[end : end + 2]:
        raise PacketError("no record")
    return window[start:end], end + 2 - at


def _record(window: bytes, at: int, offset: int, parser: Parser) -> tuple[Record | Index | None, int]:
    """The record at `at` and its length; None and the length if it holds no packet, None and 0 if there is none."""
    length = 0
    try:
        packet, length = _framed(window, at)
        if packet[:1] == bytes([LEAD]):
            return parse_index(packet, offset), length
        return Record(parser.parse(packet), len(packet), length, not packet[0] & SHORT), length
    except PacketError:
        return None, length


def _index_at(file: BinaryIO, offset: int) -> Index | None:
    file.seek(offset)
    try:
        return parse_index(_framed(file.read(_LONGEST_RECORD), 0)[0], offset)
    except PacketError:
        return None


def _last_index(file: BinaryIO) -> Index | None:
    """The index that ends the file, None if none does."""
    end = file.seek(0, 2)
    if end < HEAD_BYTES + _TAIL:
        return None
    file.seek(end - _TAIL)
    length = int.from_bytes(file.read(_TAIL)[:4], "big")
    return _index_at(file, end - length) if _TAIL < length <= end - HEAD_BYTES else None


def read_packets(path: Path) -> Iterator[Message]:
    """The messages of a `.fw` file, up to where it was cut; damaged ones are left out. Raises ContainerError."""
    return (record.message for record in Reader(path))
