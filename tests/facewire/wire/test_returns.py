from __future__ import annotations

import random

import pytest

from facewire.errors import PacketError
from facewire.wire.packets import MAX_PIVOT_BYTES, lead
from facewire.wire.returns import MAX_HAVE, REPORT, Report, Want, pack_report, parse_report

PLAIN = Report(b"dev1", newest=1000, received=77, missing=3, waiting=12, delay=0.25)
FULL = Report(
    b"dev2",
    hello=True,
    complete=True,
    have=tuple(bytes([index] * 4) for index in range(MAX_HAVE)),
    wants=(Want(b"pivot-id"), Want(b"other-id", ((0, 200), (400, 1)))),
)


@pytest.mark.parametrize("report", [PLAIN, FULL, Report(bytes(4))])
def test_there_and_back(report: Report) -> None:
    assert parse_report(pack_report(report)) == report


def test_the_bytes_are_these() -> None:
    assert pack_report(PLAIN).hex() == "180064657631" + "e807" + "4d" + "03" + "0c" + "19" + "00" + "00"
    assert len(pack_report(PLAIN)) == 14


def test_every_cut_and_every_tail_is_refused() -> None:
    for report in (PLAIN, FULL):
        data = pack_report(report)
        for length in range(len(data)):
            with pytest.raises(PacketError):
                parse_report(data[:length])
        with pytest.raises(PacketError):
            parse_report(data + b"\0")


def test_random_bytes_raise_nothing_else() -> None:
    rng = random.Random(3)
    taken = 0
    for _ in range(20_000):
        data = bytes([lead(REPORT), rng.randrange(4)]) + rng.randbytes(rng.randrange(60))
        try:
            parse_report(data)
            taken += 1
        except PacketError:
            continue
    assert taken < 20_000


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        pack_report(Report(b"x"))
    head = bytes([lead(REPORT), 0]) + bytes(4) + bytes(5)
    with pytest.raises(PacketError, match="count"):
        parse_report(head + bytes([MAX_HAVE + 1]) + bytes(4 * (MAX_HAVE + 1)) + b"\0")
    too_far = pack_report(Report(bytes(4), wants=(Want(bytes(8), ((MAX_PIVOT_BYTES, 1),)),)))
    with pytest.raises(PacketError, match="no pivot has"):
        parse_report(too_far)
    with pytest.raises(PacketError, match="version"):
        parse_report(bytes([lead(REPORT) ^ 0x70]) + pack_report(PLAIN)[1:])
