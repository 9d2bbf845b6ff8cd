"""How long the kernel may wait for acknowledgements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from facewire.link.tcp import IPV6_HEADERS, SEGMENT, Connection
from facewire.link.wires import SPARE_SECONDS, Wires

IDLE = Connection(sent=0, received=0, outstanding=0, rtt=1.4, shortest_rtt=0.6, timeouts=0, silence=0.0, repeated=0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    def limit_backoff(_fd: int, _port: int, seconds: float) -> bool:
        found.append(seconds)
        return True

    monkeypatch.setattr("facewire.link.tcp.limit_backoff", limit_backoff)
    return found


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({}, 1.4),  # as long as round trips are now
        ({"rtt": 0.62}, 0.6 + IPV6_HEADERS / 1000),
        ({"rtt": 0.7, "outstanding": 340, "segments": 2}, 0.6 + (170 + IPV6_HEADERS) / 1000),
        # What the kernel keeps back goes before what it repeats.
        ({"rtt": 0.7, "outstanding": 940, "unsent": 600, "segments": 2}, 0.6 + (600 + 170 + IPV6_HEADERS) / 1000),
        ({"rtt": 0.7, "timeouts": 1, "outstanding": 340, "segments": 2}, 0.6 + (340 + IPV6_HEADERS) / 1000),
        ({"rtt": 0.7, "timeouts": 1, "outstanding": 340, "segments": 2, "arrived": 0.5}, 0.6 + 230 / 1000),
        ({"timeouts": 2}, 1.5 * 1.4 - SPARE_SECONDS),  # dark: what is repeated must not fill the link
        # One segment is repeated.
        ({"timeouts": 2, "outstanding": 3128, "segments": 9}, 0.6 + (SEGMENT + IPV6_HEADERS) / 1000),
    ],
)
def test_what_is_lost_is_repeated_soon(
    change: dict[str, Any], seconds: float, told: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewire.link.tcp.look", lambda _fd, _port: replace(IDLE, **change))
    wires = Wires(port=5555, rate=1000.0, gone=lambda _: None)
    wires.know(7, "10.0.0.1", 0.0)
    wires.sample(0.0)
    assert told == [pytest.approx(seconds + SPARE_SECONDS)]


def test_what_the_link_has_not_sent_off_is_waited_for(told: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    state = replace(IDLE, rtt=0.7, outstanding=1500, segments=1)
    monkeypatch.setattr("facewire.link.tcp.look", lambda _fd, _port: state)
    wires = Wires(port=5555, rate=1000.0, gone=lambda _: None)
    wires.know(7, "10.0.0.1", 0.0)
    wires.know(8, "10.0.0.2", 0.0)
    wires.sample(10.0)
    state = replace(state, sent=500)  # on both
    for now in (10.5, 11.0, 12.0):
        wires.sample(now)
    own = 0.6 + (1500 + IPV6_HEADERS) / 1000 + SPARE_SECONDS
    assert told == [pytest.approx(own + queue) for queue in (0, 0, 1.0, 1.0, 0.5, 0.5, 0, 0)]


def test_a_connection_without_a_way_is_held(told: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []
    monkeypatch.setattr("facewire.link.tcp.hold_on", lambda fd, port: held.append((fd, port)))
    states = [replace(IDLE, probes=3), IDLE]
    monkeypatch.setattr("facewire.link.tcp.look", lambda _fd, _port: states.pop(0))
    wires = Wires(port=5555, rate=1000.0, gone=lambda _: None)
    wires.know(7, "10.0.0.1", 0.0)
    wires.sample(0.0)
    assert (held, told) == ([(7, 5555)], [])
    wires.sample(0.0)
    assert (len(held), len(told)) == (1, 1)  # it is there again: lost packets are repeated soon
