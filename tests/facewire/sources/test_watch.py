"""Frozen cameras."""

from __future__ import annotations

import numpy as np

from facewire.sources.watch import FreezeWatch, fingerprint


def test_a_live_camera_is_never_frozen() -> None:
    noise = np.random.default_rng(0)
    watch = FreezeWatch(1.0)
    assert not any(watch.update(noise.integers(0, 4, (72, 128, 3)).astype(np.uint8), n / 25) for n in range(100))


def test_frozen_begins_after_the_time_and_ends_with_a_new_picture() -> None:
    watch = FreezeWatch(2.0)
    still = np.full((72, 128, 3), 7, np.uint8)
    verdicts = [watch.update(still, n / 25) for n in range(75)]
    assert verdicts.index(True) == 50
    assert all(verdicts[50:])
    other = still.copy()
    other[4, 8, 1] += 1
    assert not watch.update(other, 3.0)
    assert not watch.frozen


def test_a_clock_that_starts_anew_starts_the_watch_anew() -> None:
    watch = FreezeWatch(2.0)
    still = np.zeros((8, 8, 3), np.uint8)
    assert not watch.update(still, 1000.0)
    assert not watch.update(still, 0.0)
    assert not watch.update(still, 1.9)
    assert watch.update(still, 2.0)


def test_shape_is_part_of_the_fingerprint() -> None:
    assert fingerprint(np.zeros((8, 16, 3), np.uint8)) != fingerprint(np.zeros((16, 8, 3), np.uint8))
