"""What may be on the way: window, pace, silence, and the receiver that comes back by another way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facewire.link.flow import (
    HELD_UP_SECONDS,
    KNOCK_SECONDS,
    QUIET_SECONDS,
    WINDOW_SECONDS,
    Flow,
    Opening,
)
from facewire.link.tcp import Connection

RATE, LARGEST = 4000.0, 1300
IDLE = Connection(sent=0, received=0, outstanding=0, rtt=0.7, shortest_rtt=0.6, timeouts=0, silence=0.0, repeated=0)


@pytest.mark.parametrize("rtt", [0.7, 5.0])
@pytest.mark.parametrize(
    ("beyond", "bundles", "slices"),
    [(-0.01, True, True), (0.01, True, False), (WINDOW_SECONDS + 0.01, False, False)],
)
def test_the_window_is_a_round_trip_without_queues_and_a_bit(
    rtt: float, beyond: float, bundles: bool, slices: bool
) -> None:
    state = replace(IDLE, rtt=rtt, outstanding=round(RATE * (IDLE.shortest_rtt + beyond)))
    assert Flow(RATE, LARGEST).opens(state, 1.0, paced=False) == Opening(bundles, slices)


def test_what_has_arrived_behind_a_loss_is_not_on_the_way() -> None:
    state = replace(IDLE, outstanding=round(2 * RATE * (IDLE.shortest_rtt + WINDOW_SECONDS)))
    assert not Flow(RATE, LARGEST).opens(state, 1.0, paced=False).bundles
    assert Flow(RATE, LARGEST).opens(replace(state, arrived=0.6), 1.0, paced=False).bundles


def test_the_largest_message_always_has_a_window() -> None:
    state = replace(IDLE, shortest_rtt=0.001, outstanding=LARGEST)
    assert Flow(100.0, LARGEST).opens(state, 1.0, paced=False) == Opening(True, True)


def test_a_slice_waits_until_the_link_is_free_where_keypoints_flow() -> None:
    flow = Flow(RATE, LARGEST)
    for _ in range(2):
        flow.sent(2000, 10.0)
    assert flow.opens(IDLE, 10.5, paced=True) == Opening(bundles=True)
    assert flow.opens(IDLE, 10.5, paced=False) == Opening(bundles=True, slices=True)
    assert flow.opens(IDLE, 11.0, paced=True) == Opening(bundles=True, slices=True)


def test_where_keypoints_flow_a_slice_goes_only_just_after_an_acknowledgement() -> None:
    flow = Flow(RATE, LARGEST)
    waiting = replace(IDLE, outstanding=100, silence=0.4)
    for state, flows, slices in [
        (waiting, True, False),
        (waiting, False, True),
        (replace(waiting, silence=0.1), True, True),
        (replace(waiting, outstanding=0), True, True),
        (None, True, True),
    ]:
        assert flow.opens(state, 1.0, paced=True, flows=flows) == Opening(bundles=True, slices=slices)


def test_nothing_is_added_to_what_nobody_acknowledges() -> None:
    flow = Flow(RATE, LARGEST)
    quiet = replace(IDLE, outstanding=100, silence=IDLE.rtt + QUIET_SECONDS + 0.1)
    assert flow.opens(quiet, 5.0, paced=True) == Opening(is_silent=True)
    assert flow.opens(None, 5.0, paced=True) == Opening(True, True)
    assert flow.opens(replace(quiet, outstanding=0), 5.0, paced=True) == Opening(True, True)


def test_of_what_waited_for_a_dark_link_only_the_newest_goes() -> None:
    flow = Flow(RATE, LARGEST)
    dark = replace(IDLE, outstanding=100, silence=IDLE.rtt + HELD_UP_SECONDS + 0.1)
    assert flow.opens(dark, 5.0, paced=True).is_silent
    assert flow.opens(IDLE, 6.0, paced=True).only_newest
    assert not flow.opens(IDLE, 6.1, paced=True).only_newest


def test_who_fell_silent_is_tried_once_when_somebody_comes() -> None:
    flow = Flow(RATE, LARGEST)
    dark = replace(IDLE, outstanding=100_000, silence=5.0)
    assert flow.opens(dark, 10.0, True, knock_until=9.0).is_silent
    assert flow.opens(dark, 10.0, True, knock_until=11.5) == Opening(bundles=True, only_newest=True, anew=True)
    assert flow.opens(dark, 10.1, True, knock_until=11.5) == Opening(bundles=True)
    assert flow.opens(dark, 10.0 + KNOCK_SECONDS, True, knock_until=20.0).is_silent
    assert flow.opens(IDLE, 12.0, True, knock_until=20.0).bundles  # it was only late
    assert flow.opens(dark, 18.0, True, knock_until=20.0).anew
