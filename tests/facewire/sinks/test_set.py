from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest

from facewire.errors import MissingDependency, SinkError
from facewire.sinks import Sink, SinkSet, SinkSpecError, SinkStats
from facewire.types import Picture

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeSink:
    def __init__(self, name: str) -> None:
        self.name = name
        self.shown = 0
        self.breaks: Exception | None = None
        self.closed = False

    @property
    def stats(self) -> SinkStats:
        return SinkStats(shown=self.shown, clients=1)

    def show(self, picture: Picture) -> None:
        if self.breaks:
            raise self.breaks
        self.shown += 1

    def close(self) -> None:
        self.closed = True


class Workshop:
    """Makes fake sinks, and refuses while `out_of_order` names the specification."""

    def __init__(self) -> None:
        self.made: dict[str, list[FakeSink]] = {}
        self.out_of_order: dict[str, Exception] = {}
        self.attempts = 0

    def __call__(self, spec: str, size: int, fps: float) -> Sink:
        self.attempts += 1
        if spec in self.out_of_order:
            raise self.out_of_order[spec]
        self.made.setdefault(spec, []).append(FakeSink(spec))
        return self.made[spec][-1]


def settle(sinks: SinkSet) -> None:
    """Let background openers and closers end."""
    for thread in threading.enumerate():
        if thread.name == "facewire-sink":
            thread.join(5.0)


def show_for(sinks: SinkSet, clock: Clock, seconds: float, step: float = 0.25) -> None:
    end = clock.now + seconds
    while clock.now < end:
        clock.now += step
        sinks.show(PICTURE)
        settle(sinks)


def test_a_broken_sink_does_not_hurt_the_others_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facewire.sinks")
    clock, shop = Clock(), Workshop()
    sinks = SinkSet(["null:", "window:"], 8, 25.0, shop, clock)
    show_for(sinks, clock, 1.0)
    first = shop.made["window:"][0]
    first.breaks = SinkError("window: the X server went away")
    shop.out_of_order["window:"] = SinkError("window: no X server")
    show_for(sinks, clock, 30.0)
    assert first.closed
    assert shop.made["null:"][0].shown == 31 * 4
    assert not sinks.states()[1].open
    assert "no X server" in sinks.states()[1].fault
    assert sum("trying again" in line for line in caplog.messages) == 1

    shop.out_of_order.clear()
    show_for(sinks, clock, 20.0)
    assert sinks.states()[1].open
    assert sinks.states()[1].fault == ""
    assert sum("works again" in line for line in caplog.messages) == 1
    assert len(caplog.messages) == 2
    assert sinks.states()[1].stats.shown == first.shown + shop.made["window:"][1].shown
    sinks.close()
    assert shop.made["window:"][1].closed


def test_attempts_back_off() -> None:
    clock, shop = Clock(), Workshop()
    shop.out_of_order["window:"] = SinkError("window: no")
    sinks = SinkSet(["window:"], 8, 25.0, shop, clock)
    show_for(sinks, clock, 60.0)
    assert 6 <= shop.attempts <= 11
    sinks.close()


def test_flapping_is_one_fault(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facewire.sinks")
    clock, shop = Clock(), Workshop()
    sinks = SinkSet(["window:"], 8, 25.0, shop, clock)
    for _ in range(100):
        if sinks.states()[0].open:
            shop.made["window:"][-1].breaks = SinkError("window: flickers")
        show_for(sinks, clock, 0.5)
    assert len(caplog.messages) == 1
    sinks.close()


def test_any_exception_is_contained() -> None:
    clock, shop = Clock(), Workshop()
    sinks = SinkSet(["null:", "window:"], 8, 25.0, shop, clock)
    shop.made["null:"][0].breaks = ZeroDivisionError("oh\nno")
    sinks.show(PICTURE)
    settle(sinks)
    assert sinks.states()[0].fault == "ZeroDivisionError: oh no"
    assert shop.made["window:"][0].shown == 1
    sinks.close()


def test_what_waiting_does_not_mend_is_raised_at_once() -> None:
    shop = Workshop()
    with pytest.raises(SinkSpecError):
        SinkSet(["null:", "nothing"], 8, 25.0, shop)
    assert shop.attempts == 0
    shop.out_of_order["window:"] = MissingDependency("apt install it")
    with pytest.raises(MissingDependency):
        SinkSet(["null:", "window:"], 8, 25.0, shop)
    assert shop.made["null:"][0].closed


def test_opening_never_holds_up_the_show() -> None:
    clock, shop = Clock(), Workshop()
    release = threading.Event()
    slow = threading.Event()

    def opener(spec: str, size: int, fps: float) -> Sink:
        if slow.is_set():
            release.wait(10.0)
        return shop(spec, size, fps)

    sinks = SinkSet(["window:"], 8, 25.0, opener, clock)
    slow.set()
    shop.made["window:"][0].breaks = SinkError("window: gone")
    began = time.monotonic()
    for _ in range(20):
        clock.now += 1.0
        sinks.show(PICTURE)
        time.sleep(0.01)
    assert time.monotonic() - began < 5.0
    assert shop.attempts == 1
    assert sinks.states()[0].stats.dropped >= 19
    release.set()
    sinks.close()
    assert all(sink.closed for sink in shop.made["window:"])
