r"""The `.fw` file: packets one after the other, readable up to wherever it was cut, whatever was damaged before.

    head      "\x89FW\r\n" (5 bytes) | version u8 (1) | shown size u16 | CRC-16 of these 8 bytes
    record    length varint | packet (see wire.packets) | CRC-16 of length and packet
    record    ...

Numbers are unsigned and big-endian; CRC-16 is the low half of CRC-32 (zlib). There is no end mark and no index: a
file may be appended to, and a cut file is a shorter file. A reader that meets a damaged record looks for the next
place where length, CRC, version and kind agree, so damage costs only the packets that it hits. The head is needed only
to tell what the file is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from facewire.errors import ContainerError, PacketError
from facewire.types import Message
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.packets import MAX_PACKET_BYTES, pack, parse

MAGIC = b"\x89FW\r\n"
VERSION = 1
HEAD_BYTES = 10
RECORD_OVERHEAD = 3
"""Bytes that a record adds to a packet shorter than 128 bytes; 4 to longer ones."""
MAX_LOST_BYTES = 1 << 20
"""A file with a longer stretch without one whole packet is given up there."""

_BLOCK = 1 << 16
_LONGEST_RECORD = MAX_PACKET_BYTES + 5


def _check(data: bytes) -> bytes:
    return (zlib.crc32(data) & 0xFFFF).to_bytes(2, "big")


@dataclass(frozen=True)
class Record:
    """One packet of a file."""

    message: Message
    packet_bytes: int
    record_bytes: int
    """What the packet takes in the file, length and CRC included."""


class Writer:
    """Writes a `.fw` file; every packet is in the file as soon as `write` returns, so that a crash costs nothing more.

    Raises ContainerError if the file cannot be written (full disk, no permission).
    """

    def __init__(self, path: Path, shown_size: int = 512) -> None:
        self.path = path
        self.bytes = 0
        head = MAGIC + bytes([VERSION]) + shown_size.to_bytes(2, "big")
        try:
            self._file: BinaryIO = path.open("wb", buffering=0)
        except OSError as error:
            raise ContainerError(f"cannot write {path}: {error.strerror}") from None
        self._put(head + _check(head))

    def write(self, message: Message) -> Record:
        """Append one message; returns what it took."""
        packet = pack(message)
        framed = put_varint(len(packet)) + packet
        self._put(framed + _check(framed))
        return Record(message, len(packet), len(framed) + 2)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            raise ContainerError(f"{path} is a .fw file of version {head[len(MAGIC)]}: this Facewire reads {VERSION}")
        if len(head) == HEAD_BYTES and _check(head[:-2]) == head[-2:]:
            self.shown_size = int.from_bytes(head[6:8], "big")

    def __iter__(self) -> Iterator[Record]:
        self.lost_bytes = self.file_bytes = 0
        try:
            with self.path.open("rb") as file:
                self.file_bytes = len(file.read(HEAD_BYTES))
                yield from self._records(file)
        except OSError as error:
            raise ContainerError(f"cannot read {self.path}: {error.strerror}") from None

    def _records(self, file: BinaryIO) -> Iterator[Record]:
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
            record = _record(window, at)
            if record is None:
                at += 1
                self.lost_bytes += 1
                lost_here += 1
                if lost_here > MAX_LOST_BYTES:
                    return
            else:
                at += record.record_bytes
                lost_here = 0
                yield record


def _record(window: bytes, at: int) -> Record | None:
    """The record that starts at `at`, None if none does."""
    try:
        length, start = get_varint(window, at, MAX_PACKET_BYTES)
        end = start + length
        if end + 2 > len(window) or _check(window[at:end]) != window[end : end + 2]:
            return None
        return Record(parse(window[start:end]), length, end + 2 - at)
    except PacketError:
        return None


def read_packets(path: Path) -> Iterator[Message]:
    """The messages of a `.fw` file, up to where it was cut; damaged ones are left out. Raises ContainerError."""
    return (record.message for record in Reader(path))
