from __future__ import annotations

import threading
import time

from facewire.inbox import Inbox
from facewire.types import Bundle, PivotSlice


def part(offset: int) -> PivotSlice:
    return PivotSlice(b"12345678", offset, 1000, b"x")


def test_in_order_and_bundles_are_counted() -> None:
    inbox = Inbox()
    inbox.put(Bundle(1, ()))
    inbox.put(part(0))
    assert inbox.bundles == 1
    assert inbox.get(0) == Bundle(1, ())
    assert inbox.bundles == 0
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
    assert inbox.bundles == 1
    assert Bundle(1, ()) in [inbox.get(0) for _ in range(4)]
