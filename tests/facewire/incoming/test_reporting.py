from __future__ import annotations

from dataclasses import replace

from facewire.incoming.patience import ASK_SECONDS
from facewire.incoming.reporting import LEAST_SECONDS, MOST_SECONDS, REPORT_COST, REPORT_SHARE, Reading, Reporting
from facewire.wire.pivot_store import PivotCache, content_id
from facewire.wire.returns import MAX_HAVE, Want

NOTHING = Reading(0, 0, 0, 0, 0, 0, 0, 0, 0.0, None, None)
CONNECTED = replace(NOTHING, connections=1)


def keeping(count: int) -> tuple[PivotCache, list[bytes]]:
    cache = PivotCache(None)
    return cache, [cache.put(bytes([index]) * 100) for index in range(count)]


def test_nothing_before_there_is_a_connection_and_a_hello_on_each() -> None:
    cache, names = keeping(3)
    reporting = Reporting(b"dev1", cache, 0.0)
    assert reporting.due(1000.0, NOTHING) is None
    first = reporting.due(1001.0, CONNECTED)
    assert first is not None
    assert (first.hello, first.complete, first.device) == (True, True, b"dev1")
    assert first.have == tuple(name[:4] for name in reversed(names))
    assert reporting.due(1001.1, CONNECTED) is None
    again = reporting.due(1002.0, replace(CONNECTED, connections=2))
    assert again is not None
    assert again.hello


def test_a_hello_says_which_part_of_a_pivot_has_come() -> None:
    reporting = Reporting(b"dev1", PivotCache(None), 0.0)
    hello = reporting.due(1.0, replace(CONNECTED, pivot_id=b"pivot-id", lack=(b"pivot-id", [(200, 300)])))
    assert hello is not None
    assert hello.wants == (Want(b"pivot-id", ((200, 300),)),)


def test_who_keeps_more_than_a_hello_can_name_says_it_of_each_new_pivot() -> None:
    cache, names = keeping(MAX_HAVE + 5)
    reporting = Reporting(b"dev1", cache, 0.0)
    hello = reporting.due(1.0, CONNECTED)
    assert hello is not None
    assert (hello.complete, len(hello.have)) == (False, MAX_HAVE)
    assert reporting.due(1.1, replace(CONNECTED, pivot_id=names[-1])) is None  # was named
    kept = reporting.due(1.2, replace(CONNECTED, pivot_id=names[0]))
    assert kept is not None
    assert (kept.have, kept.wants) == ((names[0][:4],), ())
    new = content_id(b"new")
    lacking = replace(CONNECTED, pivot_id=new, lack=(new, []))
    wanted = reporting.due(1.3, lacking)
    assert wanted is not None
    assert wanted.wants == (Want(new),)
    assert reporting.due(1.4, lacking) is None


def test_reports_take_a_small_part_of_what_comes() -> None:
    for rate, expected in ((200.0, REPORT_COST / 200 / REPORT_SHARE), (30_000.0, LEAST_SECONDS), (1.0, MOST_SECONDS)):
        reporting = Reporting(b"dev1", PivotCache(None), 0.0)
        reporting.due(0.0, CONNECTED)
        times = []
        for step in range(1, 4000):
            now = step / 10
            if reporting.due(now, replace(CONNECTED, wire=round(rate * now))) is not None:
                times.append(now)
        pauses = [b - a for a, b in zip([0.0, *times], times, strict=False)]
        assert all(abs(pause - expected) < 0.2 for pause in pauses)


def test_keypoints_without_their_pivot_are_asked_about() -> None:
    reporting = Reporting(b"dev1", PivotCache(None), 0.0)
    reporting.due(0.0, CONNECTED)
    lacking = replace(CONNECTED, pivot_id=b"pivot-id", lack=(b"pivot-id", [(0, 5)]), wire=10**9)
    reporting.due(0.1, lacking)
    steps = range(2, round(ASK_SECONDS * 10) + 20)
    reports = [reporting.due(step / 10, replace(lacking, undone=step)) for step in steps]
    asked = [report for report in reports if report is not None and report.wants]
    assert [report.wants for report in asked] == [(Want(b"pivot-id", ((0, 5),)),)]
    assert reporting.asked == 1


def test_keypoints_of_an_unknown_epoch_lead_to_a_hello() -> None:
    reporting = Reporting(b"dev1", PivotCache(None), 0.0)
    reporting.due(0.0, CONNECTED)
    report = reporting.due(ASK_SECONDS + 1, replace(CONNECTED, undone=9))
    assert report is not None
    assert report.hello
