"""What a decoder sends back: one kind of packet, seldom. Numbers are unsigned; `varint` is LEB128 (see wire.bits).

    kind 8, report        version (4 bits) | kind (4 bits)
                          | flags u8: 0 0 0 0 0 0 A H; H: hello, the first of a connection; A: `have` is all it has
                          | device 4 B | newest frame varint | messages received varint | frames missing varint
                          | shown frames that wait varint | playout delay varint (10 ms)
                          | count u8 of `have`, then 4 B each: the first half of a pivot's content id
                          | count u8 of `wants`, then each: pivot id 8 B, count u8 of gaps, their offsets and lengths,
                          each a varint

A report takes 15 to 20 bytes, a hello with 16 cached pivots 80. A packet is read whole or not at all; it costs its
reader no more memory than its own size.
"""

from __future__ import annotations

from dataclasses import dataclass

from facewire.errors import PacketError
from facewire.wire.bits import get_varint, put_varint
from facewire.wire.bundles import MAX_FRAME_NUMBER
from facewire.wire.packets import MAX_PIVOT_BYTES, lead

REPORT = 8
MAX_HAVE, MAX_WANTS, MAX_GAPS = 32, 2, 8
_MOST = (1 << 32) - 1


@dataclass(frozen=True)
class Want:
    """A pivot that is asked for: the bytes (offset, length) that are missing, all of it if none is named."""

    pivot_id: bytes
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Report:
    """How a decoder fares. Counters count from its start.

    device: 4 random bytes that a decoder keeps, so that its old connection is known when it comes back. have: first
    halves of content ids, the latest used first; complete: there are no others.
    """

    device: bytes
    hello: bool = False
    newest: int = 0
    received: int = 0
    missing: int = 0
    waiting: int = 0
    delay: float = 0.0
    have: tuple[bytes, ...] = ()
    complete: bool = False
    wants: tuple[Want, ...] = ()


def pack_report(report: Report) -> bytes:
    """The bytes of a report; raises ValueError if a field is out of range."""
    if len(report.device) != 4 or len(report.have) > MAX_HAVE or len(report.wants) > MAX_WANTS:
        raise ValueError("report with a field out of range")
    out = bytearray([lead(REPORT), report.complete << 1 | report.hello])
    out += report.device
    for value in (report.newest, report.received, report.missing, report.waiting, round(report.delay * 100)):
        out += put_varint(min(max(value, 0), _MOST))
    out.append(len(report.have))
    for name in report.have:
        out += name[:4]
    out.append(len(report.wants))
    for want in report.wants:
        out += want.pivot_id[:8]
        gaps = want.gaps[:MAX_GAPS]
        out.append(len(gaps))
        for offset, length in gaps:
            out += put_varint(offset) + put_varint(length)
    return bytes(out)


def parse_report(data: bytes) -> Report:
    """The report in `data`; raises PacketError if it is no valid one of this version."""
    if len(data) < 13 or data[0] != lead(REPORT) or data[1] > 3:
        raise PacketError("no report of this version")
    device, at = data[2:6], 6
    values = []
    for most in (MAX_FRAME_NUMBER, _MOST, _MOST, _MOST, _MOST):
        value, at = get_varint(data, at, most)
        values.append(value)
    count, at = _count(data, at, MAX_HAVE)
    have = tuple(_take(data, at + 4 * index, 4) for index in range(count))
    at += 4 * count
    count, at = _count(data, at, MAX_WANTS)
    wants = []
    for _ in range(count):
        want, at = _want(data, at)
        wants.append(want)
    if at != len(data):
        raise PacketError("report with a tail")
    newest, received, missing, waiting, delay = values
    hello, complete = bool(data[1] & 1), bool(data[1] & 2)
    return Report(device, hello, newest, received, missing, waiting, delay / 100, have, complete, tuple(wants))


def _want(data: bytes, at: int) -> tuple[Want, int]:
    pivot_id, at = _take(data, at, 8), at + 8
    count, at = _count(data, at, MAX_GAPS)
    gaps = []
    for _ in range(count):
        offset, at = get_varint(data, at, MAX_PIVOT_BYTES)
        length, at = get_varint(data, at, MAX_PIVOT_BYTES)
        if not length or offset + length > MAX_PIVOT_BYTES:
            raise PacketError("report asks for what no pivot has")
        gaps.append((offset, length))
    return Want(pivot_id, tuple(gaps)), at


def _count(data: bytes, at: int, most: int) -> tuple[int, int]:
    if at >= len(data) or data[at] > most:
        raise PacketError("report with a count out of range")
    return data[at], at + 1


def _take(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise PacketError("report too short")
    return data[at : at + length]
