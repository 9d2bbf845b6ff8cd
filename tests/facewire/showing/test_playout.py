from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest

from facewire.showing import playout
from facewire.showing.playout import AUTO_DELAY, Playout
from facewire.types import ShownFrame

PICTURE = np.zeros((1, 1, 3), np.uint8)
TICK = 0.04


def frame(number: int) -> ShownFrame:
    return ShownFrame(number, number * TICK, PICTURE, False)


@dataclass
class Player:
    """Ticks 25 times a second of made-up time; frames arrive when `arrivals` says so."""

    playout: Playout
    now: float = 100.0
    shown: list[int | None] = field(default_factory=list)

    def play(self, seconds: float, arrivals: Callable[[float], Iterable[int]] = lambda now: ()) -> list[int | None]:
        start = len(self.shown)
        for _ in range(round(seconds / TICK)):
            for number in arrivals(self.now):
                self.playout.push(frame(number))
            due = self.playout.due(self.now)
            self.shown.append(None if due is None else due.number)
            self.now += TICK
        return self.shown[start:]


def stream(
    bundle: int, start: float = 100.0, first: int = 0, late: Callable[[int], float] = lambda index: 0.0
) -> Callable[[float], list[int]]:
    """Arrivals of bundles of `bundle` frames, each complete when its last frame was taken, plus `late` seconds."""
    index = 0

    def arrivals(now: float) -> list[int]:
        nonlocal index
        out: list[int] = []
        while start + ((index + 1) * bundle - 1) * TICK + late(index) <= now + 1e-9:
            out += range(first + index * bundle, first + (index + 1) * bundle)
            index += 1
        return out

    return arrivals


def without_holes(shown: list[int | None]) -> list[int]:
    """What was shown from the first frame on; fails if a tick repeated a picture other than the very first, which is
    there before its time."""
    first, second, *_ = [index for index, number in enumerate(shown) if number is not None]
    assert second - first <= 1 + AUTO_DELAY / TICK
    assert None not in shown[second:]
    return [number for number in shown if number is not None]


@pytest.mark.parametrize("bundle", [1, 2, 4, 12, 32])
def test_bursts_become_a_steady_rate(bundle: int) -> None:
    player = Player(Playout())
    numbers = without_holes(player.play(12, stream(bundle)))
    assert numbers == list(range(len(numbers)))
    assert player.playout.counters.stalls == 0


def test_the_first_frame_is_there_at_once_and_the_next_one_after_the_delay() -> None:
    player = Player(Playout(delay=0.4))
    player.playout.push(frame(7))
    player.playout.push(frame(8))
    shown = player.play(0.5)
    assert shown.index(7) == 0
    assert shown.index(8) == 11
    assert player.playout.counters.stalls == 0


def test_jitter_stops_once_and_then_runs() -> None:
    player = Player(Playout())
    # Every fifth bundle is 0.3 s late.
    player.play(40, stream(4, late=lambda index: 0.3 if index % 5 == 4 else 0.0))
    counters = player.playout.counters
    assert counters.stalls <= 2
    assert counters.late <= 2
    assert player.playout.delay > 0.3


def test_fixed_delay_does_not_grow() -> None:
    player = Player(Playout(delay=0.1))
    shown = player.play(20, stream(4, late=lambda index: 0.3 if index % 5 == 4 else 0.0))
    assert player.playout.delay == 0.1
    assert player.playout.counters.late > 0
    numbers = [number for number in shown if number is not None]
    assert numbers == sorted(numbers)


def test_an_outage_holds_and_does_not_become_latency() -> None:
    player = Player(Playout())
    player.play(4, stream(2))
    assert player.play(30) == [None] * 750 or player.shown[-1] is None
    held = player.playout.counters.stalls
    assert held == 1
    # The sender went on meanwhile: its numbers have moved on with the clock.
    elapsed = round((player.now - 100.0) / TICK)
    shown = player.play(4, stream(2, start=player.now, first=elapsed))
    assert without_holes(shown)[0] == elapsed
    assert player.playout.delay < AUTO_DELAY + 0.2


def test_the_first_live_frame_after_an_outage_does_not_wait_for_its_time() -> None:
    """What was on the way when the link went dark comes first; what is live half a second later."""
    player = Player(Playout(delay=0.6))
    player.play(10, stream(2))
    player.play(10)
    player.playout.push(frame(260))
    assert player.play(0.52)[0] == 260
    live = round((player.now - 100.0) / TICK)
    shown = player.play(2, stream(2, start=player.now, first=live))
    first, second = [index for index, number in enumerate(shown) if number is not None][:2]
    assert (first, shown[first], shown[second]) == (1, live, live + 1)
    assert second * TICK == pytest.approx(0.7, abs=0.1)
    assert None not in shown[second:]


def test_of_a_burst_of_old_frames_after_an_outage_the_newest_is_shown() -> None:
    player = Player(Playout())
    player.play(4, stream(2))
    next_number = max(number for number in player.shown if number is not None) + 1
    player.play(3)
    live = round((player.now - 100.0) / TICK)
    waiting = list(range(next_number + 10, live))
    shown = player.play(0.04, lambda now: waiting)
    shown += player.play(4, stream(2, start=player.now, first=live))
    numbers = [number for number in shown if number is not None]
    assert player.playout.counters.late > 20
    assert numbers == sorted(numbers)
    assert player.playout.delay <= AUTO_DELAY + playout.STRETCH
    assert None not in shown[-50:]


def test_a_way_that_became_much_longer_is_accepted() -> None:
    player = Player(Playout())
    player.play(4, stream(2))
    shown = player.play(14, stream(2, start=player.now + 3.0, first=100))
    assert None not in shown[-75:]
    assert player.playout.counters.late > 0


def test_lateness_of_our_own_making_adds_no_delay() -> None:
    buffer = Playout()
    before, shown = buffer.delay, []
    for number in range(0, 300, 5):
        # A machine that makes 5 frames a second and falls behind until it is a second late.
        now = number * TICK + min(1.0, number * 0.01)
        buffer.push(frame(number), overloaded=True)
        shown += [due.number for step in range(5) if (due := buffer.due(now + step * TICK))]
    assert shown == list(range(0, 300, 5))
    assert buffer.delay == before


def test_spare_delay_shrinks_slowly() -> None:
    player = Player(Playout())
    player.play(20, stream(2, late=lambda index: 0.8 if index == 200 else 0.0))  # no first frame any more
    grown = player.playout.delay
    assert grown > 0.5
    live = round((player.now - 100.0) / TICK)
    shown = player.play(60, stream(2, start=player.now, first=live))
    assert player.playout.delay < grown - 0.3
    numbers = [number for number in shown if number is not None]
    steps = np.diff(numbers)
    assert set(steps.tolist()) <= {1, 2}


@pytest.mark.parametrize("rate", [0.998, 1.002])
def test_clocks_that_differ(rate: float) -> None:
    player = Player(Playout())
    sent = 0

    def arrivals(now: float) -> list[int]:
        nonlocal sent
        until = int((now - 100.0) * 25 * rate)
        out = list(range(sent, until))
        sent = max(sent, until)
        return out

    shown = player.play(240, arrivals)
    counters = player.playout.counters
    assert sum(number is not None for number in shown) > 0.97 * len(shown)
    assert counters.late <= 10
    assert counters.dropped == 0
    assert len(player.playout) < 15


def test_numbers_that_run_back_are_another_stream() -> None:
    player = Player(Playout())
    player.play(4, stream(2, first=5000))
    shown = player.play(4, stream(2, start=player.now, first=0))
    assert 0 in shown
    after = without_holes(shown[shown.index(0) :])
    assert after == list(range(len(after)))
    assert player.playout.counters.restarts == 1


def test_a_jump_far_ahead_starts_anew() -> None:
    player = Player(Playout())
    player.play(4, stream(2))
    shown = player.play(4, stream(2, start=player.now, first=100_000))
    assert 100_000 in shown
    assert len(player.playout) < 20


def test_bounded_and_drops_the_oldest() -> None:
    buffer = Playout(capacity=8)
    for number in range(20):
        buffer.push(frame(number))
    assert len(buffer) == 8
    assert buffer.counters.dropped == 12
    first = buffer.due(0.0)
    assert first is not None
    assert first.number == 12


def test_a_caller_that_ticks_slowly_gets_the_newest() -> None:
    buffer = Playout()
    for number in range(10):
        buffer.push(frame(number))
    buffer.due(0.0)
    late = buffer.due(AUTO_DELAY + 0.2)
    assert late is not None
    assert late.number == 5
    assert buffer.counters.skipped == 4


def test_nothing_is_due_before_anything_came() -> None:
    buffer = Playout()
    assert [buffer.due(now / 25) for now in range(50)] == [None] * 50
    assert buffer.counters.repeated == 0


def test_time_that_runs_back_does_no_harm() -> None:
    buffer = Playout()
    buffer.push(frame(0))
    buffer.push(frame(1))
    buffer.due(10.0)
    assert buffer.due(5.0) is None
    assert buffer.due(10.0 + AUTO_DELAY + TICK) is not None


def test_gaps_are_held_and_counted() -> None:
    player = Player(Playout())
    for number in (0, 1, 5, 6):
        player.playout.push(frame(number))
    shown = player.play(0.44)
    assert [number for number in shown if number is not None] == [0, 1, 5, 6]
    assert shown.index(5) - shown.index(1) == 4


def test_it_never_reads_a_clock() -> None:
    source = inspect.getsource(playout)
    for word in ("import time", "datetime", "sleep(", "monotonic"):
        assert word not in source


def test_what_waited_before_the_first_picture_is_made_up_for_at_once() -> None:
    player = Player(Playout())
    # Two seconds of frames wait for the pivot, then all goes on at the camera's pace.
    for number in range(50):
        player.playout.push(frame(number))
    shown = player.play(30.0, stream(2, first=50))

    def age(index: int) -> float:
        number = shown[index]
        assert number is not None
        return index * TICK + 50 * TICK - number * TICK

    assert age(5) > 1.5
    assert all(age(index) < 0.4 for index in range(round((playout.FIRST_WINDOW + 0.2) / TICK), len(shown)))


def test_an_outage_leaves_no_delay_behind() -> None:
    player = Player(Playout())
    live = stream(2)
    dark: list[int] = []

    def arrivals(now: float) -> list[int]:
        """Thirty seconds of darkness; the last second before it comes half a second after the light."""
        found = live(now)
        if 110.0 <= now < 140.0:
            dark.extend(n for n in found if n < 25 * 11)
            return []
        if 140.4 <= now < 140.45:
            out, dark[:] = [*dark, *found], []
            return out
        return found if now < 140.0 or now > 140.45 else []

    shown = player.play(60.0, arrivals)
    latest = [(index, number) for index, number in enumerate(shown) if number is not None and index > 25 * 45]
    assert latest
    assert all(index - number < 0.4 * 25 for index, number in latest)


@pytest.mark.parametrize(("late", "third"), [(1.4, 0.6), (2.2, 2.2)])
def test_of_long_stops_the_third_one_is_a_short_one_but_not_of_outages(late: float, third: float) -> None:
    """A bundle in seventy is late, and those behind it wait for it."""
    player = Player(Playout())
    ready = 0.0

    def lateness(index: int) -> float:
        nonlocal ready
        due = ((index + 1) * 12 - 1) * TICK
        ready = max(ready, due + (late if index % 70 == 60 else 0.0))
        return ready - due

    arrivals = stream(12, late=lateness)
    stops = []
    for _ in range(3):
        shown = player.play(33.6, arrivals)
        held = "".join("." if number is None else "x" for number in shown).split("x")
        stops.append(max(len(ticks) for ticks in held[13:]) * TICK)
    assert stops[0] > late - 0.5
    assert stops[1] > late - 0.5
    assert third - 0.5 < stops[2] < third
    assert player.playout.delay < 1.6


def test_what_was_held_up_for_a_second_moves_nothing_either() -> None:
    """The last second before the link's return comes 0.8 s late, all that follows in time."""
    player = Player(Playout())
    live = stream(2)

    def arrivals(now: float) -> list[int]:
        return [] if 110.0 <= now < 122.0 else live(now)

    def late(now: float) -> list[int]:
        found = live(now - 0.8) if 122.0 <= now < 122.8 else arrivals(now)
        return [n for n in found if n >= 25 * 21 or now < 110.0]

    shown = player.play(30.0, late)
    ages = [index - number for index, number in enumerate(shown) if number is not None and index > 25 * 24]
    assert ages
    assert max(ages) < 0.4 * 25


def test_what_comes_late_for_a_while_after_an_outage_moves_nothing() -> None:
    """The link's return finds what was held up; for three seconds all comes 1.3 s late."""
    player = Player(Playout())
    live = stream(2)
    held: list[tuple[float, int]] = []

    def arrivals(now: float) -> list[int]:
        late = max(now, 122.0) + 1.3 if 110.0 <= now < 125.0 else max(now, 126.3) if now >= 125.0 else now
        held.extend((late, n) for n in live(now))
        out = [n for at, n in held if at <= now]
        held[:] = [(at, n) for at, n in held if at > now]
        return out

    shown = player.play(45.0, arrivals)
    ages = [index - number for index, number in enumerate(shown) if number is not None and index > 25 * 28]
    assert ages
    assert max(ages) < 0.4 * 25


def test_a_link_that_clears_after_the_first_picture_costs_no_delay_for_long() -> None:
    """What came first had waited behind a picture for 1.3 s; a dozen finished pictures are all that is ever ahead."""
    buffer, ages = Playout(), list[float]()
    came = pushed = 0
    for tick in range(25 * 30):
        while max(came + 8, 40 + came // 3) <= tick:  # from tick 40 on at three times the rate, until it is live
            came += 1
        if (due := buffer.due(tick * TICK)) is not None:
            ages.append(tick * TICK - due.time)
        while pushed < came and len(buffer) < 12:
            buffer.push(frame(pushed), behind=came - pushed - 1 if len(buffer) >= 2 else 0)
            pushed += 1
    assert ages[0] > 1.5
    assert ages[-1] < 0.5
