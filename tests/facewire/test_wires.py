"""How long the kernel may wait for acknowledgements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facewire.tcp import IPV6_HEADERS, SEGMENT, Connection
from facewire.wires import SPARE_SECONDS, Wires

IDLE = Connection(sent=0, received=0, outstanding=0, rtt=1.4, shortest_rtt=0.6, timeouts=0, silence=0.0, repeated=0)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []

    def limit_backoff(_fd: int, _port: int, seconds: float) -> bool:
        found.append(seconds)
        return True

    monkeypatch.setattr("facewire.tcp.limit_backoff", limit_backoff)
    return found


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({}, 0.6 + IPV6_HEADERS / 800 + SPARE_SECONDS),
        ({"outstanding": 1540}, 0.6 + (1540 + IPV6_HEADERS) / 800 + SPARE_SECONDS),
        ({"timeouts": 1}, 0.6 + IPV6_HEADERS / 800 + SPARE_SECONDS),  # before the second one is due
        ({"timeouts": 2}, 1.5 * 1.4),  # dark: what is repeated must not fill the link
        ({"timeouts": 2, "outstanding": 1128}, 0.6 + (1128 + IPV6_HEADERS) / 800 + SPARE_SECONDS),
        # One segment is repeated.
        ({"timeouts": 2, "outstanding": 3128}, 0.6 + (SEGMENT + IPV6_HEADERS) / 800 + SPARE_SECONDS),
    ],
)
def test_what_is_lost_is_repeated_soon(
    change: dict[str, int], seconds: float, told: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewire.tcp.look", lambda _fd, _port: replace(IDLE, **change))
    wires = Wires(port=5555, rate=1000.0, gone=lambda _: None)
    wires.know(7, "10.0.0.1", 0.0)
    wires.sample()
    assert told == [pytest.approx(seconds)]


def test_a_connection_without_a_way_is_held(told: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[int, int]] = []
    monkeypatch.setattr("facewire.tcp.hold_on", lambda fd, port: held.append((fd, port)))
    states = [replace(IDLE, probes=3), IDLE]
    monkeypatch.setattr("facewire.tcp.look", lambda _fd, _port: states.pop(0))
    wires = Wires(port=5555, rate=1000.0, gone=lambda _: None)
    wires.know(7, "10.0.0.1", 0.0)
    wires.sample()
    assert (held, told) == ([(7, 5555)], [])
    wires.sample()
    assert (len(held), len(told)) == (1, 1)  # it is there again: lost packets are repeated soon
