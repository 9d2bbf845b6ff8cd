"""Any rate onto a steady grid."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.sources.steady import MAX_HOLD, LiveRate, SteadyRate
from facewire.types import Picture


def picture(number: int) -> Picture:
    return np.full((1, 1, 3), number % 256, np.uint8)


def run(stamps: list[float], fps: float = 25.0, duration: float = 0.04) -> list[int]:
    rate = SteadyRate(fps)
    out = [frame for n, stamp in enumerate(stamps) for frame in rate.push(picture(n), stamp)]
    out += list(rate.finish(duration))
    times = [frame.time for frame in out]
    assert np.allclose(np.diff(times), 1 / fps)
    return [int(frame.picture[0, 0, 0]) for frame in out]


@pytest.mark.parametrize("start", [0.0, 1.4, -0.08, 95443.717])
def test_the_same_rate_passes_one_to_one(start: float) -> None:
    assert run([start + n / 25 for n in range(100)]) == list(range(100))


def test_stamps_in_whole_milliseconds_pass_one_to_one() -> None:
    assert run([round(n / 25 + 0.0004, 3) for n in range(200)]) == list(range(200))


def test_jitter_of_a_third_of_a_frame_passes_one_to_one() -> None:
    jitter = np.random.default_rng(1).uniform(-0.013, 0.013, 200)
    jitter[0] = 0
    assert run([n / 25 + float(jitter[n]) for n in range(200)]) == list(range(200))


@pytest.mark.parametrize("fps", [10.0, 12.5, 15.0, 23.976, 29.97, 30.0, 50.0, 59.94, 60.0])
def test_other_rates_keep_their_length(fps: float) -> None:
    frames = round(4 * fps)
    out = run([n / fps for n in range(frames)], duration=1 / fps)
    assert abs(len(out) - 25 * frames / fps) <= 1
    assert out == sorted(out)
    assert max(abs(n / 25 - number / fps) for n, number in enumerate(out)) <= 0.5 / 25 + 1 / fps


def test_a_single_picture_is_one_frame() -> None:
    assert run([7.0]) == [0]
    assert run([7.0], duration=0.2) == [0] * 5


def test_nothing_gives_nothing() -> None:
    assert list(SteadyRate(25.0).finish(1.0)) == []


def test_variable_rate() -> None:
    assert run([0.0, 0.04, 0.2, 0.21, 0.24]) == [0, 1, 1, 1, 1, 2, 4]


@pytest.mark.parametrize("jump", [-1000.0, 1e6, MAX_HOLD + 1.0])
def test_a_jump_of_the_stamps_is_cut_out(jump: float) -> None:
    stamps = [n / 25 for n in range(10)] + [jump + n / 25 for n in range(10, 20)]
    assert run(stamps) == list(range(20))


def test_a_step_back_is_dropped() -> None:
    assert run([0.0, 0.04, 0.02, 0.08]) == [0, 1, 3]


def live(stamps: list[float], fps: float = 25.0) -> list[list[int]]:
    rate = LiveRate(fps)
    return [[int(frame.picture[0, 0, 0]) for frame in rate.push(picture(n), stamp)] for n, stamp in enumerate(stamps)]


def test_live_gives_each_picture_at_once() -> None:
    assert live([5.0 + n / 25 for n in range(50)]) == [[n] for n in range(50)]


def test_live_thins_a_fast_camera_and_fills_a_slow_one() -> None:
    assert sum(len(out) for out in live([n / 50 for n in range(100)])) == pytest.approx(50, abs=1)
    slow = live([n / 10 for n in range(20)])
    assert sum(len(out) for out in slow) == pytest.approx(49, abs=1)
    assert all(out and set(out) == {n} for n, out in enumerate(slow))


def test_live_does_not_fill_a_long_stall() -> None:
    assert [len(out) for out in live([0.0, 0.04, 60.0, 60.04])] == [1, 1, 1, 1]
