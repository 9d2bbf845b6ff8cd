from __future__ import annotations

import threading
import time

import numpy as np

from facewire.incoming.inbox import Inbox
from facewire.types import Bundle, KeypointFrame, PivotSlice

POINTS = np.zeros((10, 2), np.int16)


def part(offset: int) -> PivotSlice:
    return PivotSlice(b"12345678", offset, 1000, b"x")


def bundle(*numbers: int) -> Bundle:
    return Bundle(0, tuple(KeypointFrame(number, POINTS) for number in numbers))


def test_in_order() -> None:
    inbox = Inbox()
    inbox.put(bundle(4, 6, 8))
    inbox.put(part(0))
    assert inbox.span == 5
    first = inbox.get(0)
    assert isinstance(first, Bundle)
    assert [frame.number for frame in first.frames] == [4, 6, 8]
    assert inbox.span == 0
    assert inbox.get(0) == part(0)
    assert inbox.get(0) is None


def test_full_drops_the_oldest_bundle_and_keeps_pivots() -> None:
    inbox = Inbox(limit=4)
    for message in (part(0), Bundle(1, ()), Bundle(2, ()), part(1), Bundle(3, ())):
        inbox.put(message)
    assert [inbox.get(0) for _ in range(4)] == [part(0), Bundle(2, ()), part(1), Bundle(3, ())]
    assert inbox.dropped == 1


def test_nothing_but_pivots_is_bounded_too() -> None:
    inbox = Inbox(limit=4)
    for offset in range(100):
        inbox.put(part(offset))
    assert [inbox.get(0) for _ in range(5)] == [part(96), part(97), part(98), part(99), None]


def test_a_waiting_reader_is_woken() -> None:
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, [part(7)]).start()
    began = time.monotonic()
    assert inbox.get(10.0) == part(7)
    assert time.monotonic() - began < 5


def test_a_flood_of_pivots_does_not_push_out_what_comes_after() -> None:
    inbox = Inbox(limit=4)
    for offset in range(10):
        inbox.put(part(offset))
    inbox.put(Bundle(1, ()))
    assert Bundle(1, ()) in [inbox.get(0) for _ in range(4)]


def test_shedding_keeps_the_newest() -> None:
    inbox = Inbox()
    for start in range(0, 40, 4):
        inbox.put(bundle(start, start + 2))
    inbox.put(part(0))
    assert inbox.span == 39
    assert inbox.shed(12) == 6
    assert inbox.span == 15
    first = inbox.get(0)
    assert isinstance(first, Bundle)
    assert first.frames[0].number == 24
    assert inbox.dropped == 6


def test_a_lone_bundle_is_never_shed() -> None:
    inbox = Inbox()
    inbox.put(bundle(*range(0, 60, 2)))
    assert inbox.shed(12) == 0
    assert Inbox().shed(12) == 0
